package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	kjson "sigs.k8s.io/json"

	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
)

// manager is the field manager of every write, as one composition function is.
const manager = "validator"

// strategy is what a registry knows of a kind.
type strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

// builtin is a kind that kube-apiserver has in code.
type builtin struct {
	resource string
	strategy strategy
}

var builtins = map[schema.GroupVersionKind]builtin{
	kind("apps/v1", "Deployment"):                     {"deployments", deployment.Strategy},
	kind("apps/v1", "StatefulSet"):                    {"statefulsets", statefulset.Strategy},
	kind("autoscaling/v2", "HorizontalPodAutoscaler"): {"horizontalpodautoscalers", horizontalpodautoscaler.Strategy},
	kind("batch/v1", "CronJob"):                       {"cronjobs", cronjob.Strategy},
	kind("batch/v1", "Job"):                           {"jobs", job.Strategy},
	kind("networking.k8s.io/v1", "NetworkPolicy"):     {"networkpolicies", networkpolicy.Strategy},
	kind("policy/v1", "PodDisruptionBudget"):          {"poddisruptionbudgets", poddisruptionbudget.Strategy},
	kind("v1", "ConfigMap"):                           {"configmaps", configmap.Strategy},
	kind("v1", "PersistentVolumeClaim"):               {"persistentvolumeclaims", persistentvolumeclaim.Strategy},
	kind("v1", "Pod"):                                 {"pods", pod.Strategy},
	kind("v1", "Secret"):                              {"secrets", secret.Strategy},
	kind("v1", "Service"):                             {"services", service.Strategy},
	kind("v1", "ServiceAccount"):                      {"serviceaccounts", serviceaccount.Strategy},
}

func kind(apiVersion, name string) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(apiVersion, name)
}

func init() {
	// As kubeadm and the managed offerings start their servers: Pod Security decides, not this.
	capabilities.Setup(true, 0)
}

var types = applyconfigurations.NewTypeConverter(legacyscheme.Scheme)

// validate applies an object, over a stored one when there is one.
func (b builtin) validate(kind schema.GroupVersionKind, object, old json.RawMessage) error {
	fields, err := managedfields.NewDefaultFieldManager(
		types,
		runtime.UnsafeObjectConvertor(legacyscheme.Scheme),
		legacyscheme.Scheme,
		legacyscheme.Scheme,
		kind,
		schema.GroupVersion{Group: kind.Group, Version: runtime.APIVersionInternal},
		"",
		nil,
	)
	if err != nil {
		return err
	}
	if old == nil {
		_, err := b.create(fields, kind, object)
		return err
	}
	// A stored object may be one that is refused today.
	stored, err := b.create(fields, kind, old)
	if stored == nil {
		return fmt.Errorf("old: %w", err)
	}
	return b.update(fields, kind, object, stored)
}

// create returns the object as it would be stored, and why it would not be; nil if it has no form.
func (b builtin) create(
	fields *managedfields.FieldManager, kind schema.GroupVersionKind, raw json.RawMessage,
) (runtime.Object, error) {
	live, err := legacyscheme.Scheme.New(kind)
	if err != nil {
		return nil, err
	}
	object, strict, err := apply(fields, live, raw)
	if err != nil {
		return nil, errors.Join(strict, err)
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	err = enter(b.strategy, within(kind, b.resource, accessor), accessor, object)
	if err == nil {
		err = podOf(object)
	}
	return object, errors.Join(strict, err)
}

// enter follows Store.create up to the place where the object would be stored.
func enter(
	strategy strategy, ctx context.Context, accessor metav1.Object, object runtime.Object,
) error {
	rest.FillObjectMetaSystemFields(accessor)
	if accessor.GetName() == "" && accessor.GetGenerateName() != "" {
		accessor.SetName(strategy.GenerateName(accessor.GetGenerateName()))
	}
	allocate(object)
	return rest.BeforeCreate(strategy, ctx, object)
}

// allocate gives a Service the address that the server would, before it is validated
// (registry/core/service/storage, beginCreate): of an IPv4 cluster, and no port of nodes.
func allocate(object runtime.Object) {
	made, ok := object.(*core.Service)
	if !ok || made.Spec.Type == core.ServiceTypeExternalName || len(made.Spec.ClusterIPs) > 0 {
		return
	}
	if made.Spec.ClusterIP == "" {
		made.Spec.ClusterIP = "10.96.0.10"
	}
	made.Spec.ClusterIPs = []string{made.Spec.ClusterIP}
	if made.Spec.IPFamilyPolicy == nil && made.Spec.IPFamilies == nil {
		single := core.IPFamilyPolicySingleStack
		made.Spec.IPFamilyPolicy = &single
		made.Spec.IPFamilies = []core.IPFamily{core.IPv4Protocol}
	}
}

func (b builtin) update(
	fields *managedfields.FieldManager,
	kind schema.GroupVersionKind,
	raw json.RawMessage,
	stored runtime.Object,
) error {
	before, err := meta.Accessor(stored)
	if err != nil {
		return err
	}
	before.SetResourceVersion("1")
	object, strict, err := apply(fields, stored.DeepCopyObject(), raw)
	if err != nil {
		return errors.Join(strict, err)
	}
	if made, ok := object.(*core.Service); ok {
		made.Spec.ClusterIPs = []string{made.Spec.ClusterIP}
	}
	ctx := within(kind, b.resource, before)
	err = rest.BeforeUpdate(b.strategy, ctx, object, stored)
	if err == nil {
		err = podOf(object)
	}
	return errors.Join(strict, err)
}

// apply merges a manifest into a live object, as a server-side apply does.
func apply(
	fields *managedfields.FieldManager, live runtime.Object, raw json.RawMessage,
) (runtime.Object, error, error) {
	patch := &unstructured.Unstructured{}
	strict, err := kjson.UnmarshalStrict(raw, &patch.Object)
	if err != nil {
		return nil, nil, err
	}
	object, err := fields.Apply(live, patch, manager, true)
	return object, strictError(strict), err
}

func strictError(found []error) error {
	if len(found) == 0 {
		return nil
	}
	return runtime.NewStrictDecodingError(found)
}

// within is the context of a request for an object.
func within(kind schema.GroupVersionKind, resource string, object metav1.Object) context.Context {
	ctx := request.WithNamespace(context.Background(), object.GetNamespace())
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true,
		APIGroup:          kind.Group,
		APIVersion:        kind.Version,
		Resource:          resource,
		Namespace:         object.GetNamespace(),
		Name:              object.GetName(),
	})
}
