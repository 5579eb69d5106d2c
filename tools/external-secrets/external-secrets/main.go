// Command external-secrets runs the reconcilers of External Secrets for stores and ExternalSecrets
// with upstream's fake provider alone. Upstream's own command links the clients of forty clouds.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	builtin "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	secrets "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	generators "github.com/external-secrets/external-secrets/apis/generators/v1alpha1"
	"github.com/external-secrets/external-secrets/pkg/controllers/externalsecret"
	"github.com/external-secrets/external-secrets/pkg/controllers/externalsecret/esmetrics"
	"github.com/external-secrets/external-secrets/pkg/controllers/metrics"
	"github.com/external-secrets/external-secrets/pkg/controllers/secretstore"
	"github.com/external-secrets/external-secrets/pkg/controllers/secretstore/cssmetrics"
	"github.com/external-secrets/external-secrets/pkg/controllers/secretstore/ssmetrics"

	// Registers itself.
	_ "github.com/external-secrets/external-secrets/pkg/provider/fake"
)

// What upstream's chart sets.
const class, storeInterval, secretInterval = "default", 5 * time.Minute, time.Hour

func run() error {
	ctrl.SetLogger(zap.New())
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		builtin.AddToScheme, secrets.AddToScheme, generators.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	// The reconcilers count in vectors that nobody else makes.
	metrics.SetUpLabelNames(false)
	esmetrics.SetUpMetrics()
	ssmetrics.SetUpMetrics()
	cssmetrics.SetUpMetrics()

	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	client, log := manager.GetClient(), ctrl.Log
	stores := &secretstore.StoreReconciler{
		Client: client, Log: log, Scheme: scheme,
		ControllerClass: class, RequeueInterval: storeInterval,
	}
	if err := stores.SetupWithManager(manager, controller.Options{}); err != nil {
		return err
	}
	shared := &secretstore.ClusterStoreReconciler{
		Client: client, Log: log, Scheme: scheme,
		ControllerClass: class, RequeueInterval: storeInterval,
	}
	if err := shared.SetupWithManager(manager, controller.Options{}); err != nil {
		return err
	}
	made := &externalsecret.Reconciler{
		Client: client, SecretClient: client, Log: log, Scheme: scheme, RestConfig: config,
		ControllerClass: class, RequeueInterval: secretInterval,
		ClusterSecretStoreEnabled: true, EnableFloodGate: true,
	}
	if err := made.SetupWithManager(manager, controller.Options{}); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func main() {
	flag.Parse() // --kubeconfig, which controller-runtime defines
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
