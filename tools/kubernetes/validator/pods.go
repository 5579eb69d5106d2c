package main

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	"k8s.io/kubernetes/pkg/apis/batch"
	"k8s.io/kubernetes/pkg/apis/core"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	kjson "sigs.k8s.io/json"
)

// restricted says how a pod, or a template of one, breaks the profile "restricted" of Pod Security.
func restricted(raw json.RawMessage) error {
	var template corev1.PodTemplateSpec
	strict, err := kjson.UnmarshalStrict(raw, &template)
	if err != nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	out := []error{strictError(strict)}
	for _, result := range evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec) {
		if !result.Allowed {
			out = append(out, fmt.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail))
		}
	}
	return errors.Join(out...)
}

// podOf says why the pod that a controller makes of a workload's template would be refused: some
// rules hold for pods alone, and the workload is then taken and never runs.
func podOf(workload runtime.Object) error {
	var template *core.PodTemplateSpec
	switch typed := workload.(type) {
	case *apps.Deployment:
		template = &typed.Spec.Template
	case *apps.StatefulSet:
		template = &typed.Spec.Template
	case *batch.CronJob:
		template = &typed.Spec.JobTemplate.Spec.Template
	case *batch.Job:
		template = &typed.Spec.Template
	default:
		return nil
	}
	var versioned corev1.PodTemplateSpec
	if err := corev1defaults.Convert_core_PodTemplateSpec_To_v1_PodTemplateSpec(template, &versioned, nil); err != nil {
		return err
	}
	made, err := controller.GetPodFromTemplate(&versioned, workload, nil)
	if err != nil {
		return err
	}
	owner, err := meta.Accessor(workload)
	if err != nil {
		return err
	}
	made.Namespace = owner.GetNamespace()
	legacyscheme.Scheme.Default(made)
	object, err := legacyscheme.Scheme.UnsafeConvertToVersion(made, core.SchemeGroupVersion)
	if err != nil {
		return err
	}
	ctx := within(corev1.SchemeGroupVersion.WithKind("Pod"), "pods", made)
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	if err := enter(pod.Strategy, ctx, accessor, object); err != nil {
		return &podError{err}
	}
	return nil
}

// podError is about a pod of the workload.
type podError struct{ refusal error }

func (e *podError) Error() string { return "pod: " + e.refusal.Error() }
