package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/rest"
	kjson "sigs.k8s.io/json"
)

var (
	extensions = runtime.NewScheme()
	decoder    runtime.Decoder
)

func init() {
	install.Install(extensions)
	decoder = serializer.NewCodecFactory(extensions, serializer.EnableStrict).UniversalDecoder(
		apiextensions.SchemeGroupVersion)
}

// definitions are the kinds that CustomResourceDefinitions brought.
type definitions map[schema.GroupVersionKind]*custom

// custom is a served version of a kind.
type custom struct {
	kind     schema.GroupVersionKind
	resource string
	schema   *structuralschema.Structural
	strategy strategy
	status   rest.RESTUpdateStrategy
}

func (d definitions) find(kind schema.GroupVersionKind) (*custom, error) {
	if served, ok := d[kind]; ok {
		return served, nil
	}
	for other := range d {
		if other.GroupKind() == kind.GroupKind() {
			return nil, fmt.Errorf("%s does not serve version %s", kind.GroupKind(), kind.Version)
		}
	}
	return nil, fmt.Errorf("no schema for %s", kind)
}

// add checks a definition, and serves its versions if nothing is wrong with it.
func (d definitions) add(text []byte) error {
	decoded, _, err := decoder.Decode(text, nil, nil)
	if err != nil {
		return err
	}
	definition, ok := decoded.(*apiextensions.CustomResourceDefinition)
	if !ok {
		return fmt.Errorf("not a CustomResourceDefinition but a %T", decoded)
	}
	rest.FillObjectMetaSystemFields(definition)
	ctx := within(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"),
		"customresourcedefinitions", definition)
	if err := rest.BeforeCreate(customresourcedefinition.NewStrategy(extensions), ctx, definition); err != nil {
		return err
	}
	for _, version := range definition.Spec.Versions {
		if !version.Served {
			continue
		}
		served, err := serveVersion(definition, version.Name)
		if err != nil {
			return err
		}
		d[served.kind] = served
	}
	return nil
}

// serveVersion follows crdHandler.getOrCreateServingInfoFor.
func serveVersion(definition *apiextensions.CustomResourceDefinition, version string) (*custom, error) {
	spec := definition.Spec
	kind := schema.GroupVersionKind{Group: spec.Group, Version: version, Kind: spec.Names.Kind}
	values, err := apiextensions.GetSchemaForVersion(definition, version)
	if err != nil {
		return nil, err
	}
	properties := values.OpenAPIV3Schema
	structural, err := structuralschema.NewStructural(properties)
	if err != nil {
		return nil, err
	}
	if err := defaulting.PruneDefaults(structural); err != nil {
		return nil, err
	}
	whole, _, err := validation.NewSchemaValidator(properties)
	if err != nil {
		return nil, err
	}
	subresources, err := apiextensions.GetSubresourcesForVersion(definition, version)
	if err != nil {
		return nil, err
	}
	var status validation.SchemaValidator
	var statusSpec *apiextensions.CustomResourceSubresourceStatus
	var scaleSpec *apiextensions.CustomResourceSubresourceScale
	if subresources != nil {
		statusSpec, scaleSpec = subresources.Status, subresources.Scale
	}
	if statusSchema, ok := properties.Properties["status"]; ok && statusSpec != nil {
		if status, _, err = validation.NewSchemaValidator(&statusSchema); err != nil {
			return nil, err
		}
	}
	chosen := customresource.NewStrategy(
		crdserverscheme.NewUnstructuredObjectTyper(),
		spec.Scope == apiextensions.NamespaceScoped,
		kind, whole, status, structural, statusSpec, scaleSpec, nil,
	)
	return &custom{
		kind:     kind,
		resource: spec.Names.Plural,
		schema:   structural,
		strategy: chosen,
		status:   customresource.NewStatusStrategy(chosen),
	}, nil
}

// validate creates an object, or replaces a stored one; then its status is written, as by a
// second request, if it has one.
func (c *custom) validate(object, old json.RawMessage) error {
	fresh, strict, err := c.decode(object)
	if err != nil {
		return errors.Join(strict, err)
	}
	stored := fresh.DeepCopy()
	if old == nil {
		err = enter(c.strategy, within(c.kind, c.resource, fresh), stored, stored)
	} else {
		var before *unstructured.Unstructured
		if before, _, err = c.decode(old); err != nil {
			return fmt.Errorf("old: %w", err)
		}
		c.complete(before, before)
		c.complete(stored, before)
		err = rest.BeforeUpdate(c.strategy, within(c.kind, c.resource, fresh), stored, before)
	}
	if _, ok := fresh.Object["status"]; !ok || err != nil || c.status == nil {
		return errors.Join(strict, err)
	}
	c.complete(stored, stored)
	c.complete(fresh, stored)
	err = rest.BeforeUpdate(c.status, within(c.kind, c.resource, fresh), fresh, stored)
	return errors.Join(strict, err)
}

// complete gives an object the metadata that the server gave the stored one.
func (c *custom) complete(object, stored *unstructured.Unstructured) {
	if stored.GetUID() == "" {
		rest.FillObjectMetaSystemFields(stored)
		stored.SetGeneration(1)
	}
	stored.SetResourceVersion("1")
	object.SetUID(stored.GetUID())
	object.SetCreationTimestamp(stored.GetCreationTimestamp())
	object.SetGeneration(stored.GetGeneration())
	object.SetResourceVersion("1")
}

// decode follows unstructuredSchemaCoercer and unstructuredDefaulter of crdHandler.
func (c *custom) decode(raw json.RawMessage) (*unstructured.Unstructured, error, error) {
	out := &unstructured.Unstructured{}
	strict, err := kjson.UnmarshalStrict(raw, &out.Object)
	if err != nil {
		return nil, nil, err
	}
	metadata, given, unknown, err := objectmeta.GetObjectMetaWithOptions(
		out.Object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, strictError(strict), err
	}
	unknown = append(unknown, pruning.PruneWithOptions(out.Object, c.schema, true,
		structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	defaulting.PruneNonNullableNullsWithoutDefaults(out.Object, c.schema)
	wrong, paths := objectmeta.CoerceWithOptions(nil, out.Object, c.schema, false,
		objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	for _, path := range append(unknown, paths...) {
		strict = append(strict, fmt.Errorf("unknown field %q", path))
	}
	if wrong != nil {
		return nil, strictError(strict), wrong
	}
	out.SetGroupVersionKind(c.kind)
	if given {
		if err := objectmeta.SetObjectMeta(out.Object, metadata); err != nil {
			return nil, strictError(strict), err
		}
	}
	defaulting.Default(out.Object, c.schema)
	return out, strictError(strict), nil
}
