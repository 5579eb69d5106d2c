// Command verdicts asks Cilium's own policy engine whether flows pass. It reads requests as JSON,
// one a line, and answers each with one line, in order, until its input ends.
//
//	{"id": 1,
//	 "endpoints": [{"kind": "pod", "namespace": "llm", "labels": {"app": "x"}, "namespaceLabels": {…}},
//	               {"kind": "outside", "address": "203.0.113.1", "hosts": ["huggingface.co"]},
//	               {"kind": "node"}, {"kind": "other-node"}, {"kind": "api-server", "address": "…"}],
//	 "policies": [{"kind": "CiliumNetworkPolicy", …}, {"kind": "NetworkPolicy", …}],
//	 "flows": [[0, 1, "TCP", 443]]}
//
// A flow is the index of its source, that of its destination, protocol and port. An answer has, for
// each policy, why the agent rejects it, or "", and for each flow whether it leaves its source and
// whether it enters its destination:
//
//	{"id": 1, "refused": ["", ""], "flows": [[true, false]]}
//
// Nothing here knows a rule. Policies are decoded, checked and translated by the functions that the
// agent calls, of the version in go.mod, with the agent's defaults, and policy.LookupFlow decides.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/cilium/cilium/pkg/crypto/certificatemanager"
	envoy "github.com/cilium/cilium/pkg/envoy/policy"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/identity/identitymanager"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

// The longest line that is read.
const longest = 64 << 20

// cluster is the name that an agent's cluster has by default.
const cluster = "default"

var logger = slog.New(slog.DiscardHandler)

type question struct {
	ID        json.RawMessage   `json:"id"`
	Endpoints []endpoint        `json:"endpoints"`
	Policies  []json.RawMessage `json:"policies"`
	Flows     []flow            `json:"flows"`
}

type flow struct {
	from, to int
	protocol string
	port     uint16
}

func (f *flow) UnmarshalJSON(raw []byte) error {
	return json.Unmarshal(raw, &[]any{&f.from, &f.to, &f.protocol, &f.port})
}

type answer struct {
	ID      json.RawMessage `json:"id"`
	Refused []string        `json:"refused"`
	Flows   [][2]bool       `json:"flows"`
}

func init() {
	// The agent's defaults (pkg/option), as far as policies ask for them. A cluster of Kubernetes
	// turns allow-localhost "auto" into "always".
	option.Config.EnableIPv4 = true
	option.Config.EnableIPv6 = true
	option.Config.EnableL7Proxy = true
	option.Config.EnableICMPRules = true
	option.Config.EnableNonDefaultDenyPolicies = true
	option.Config.UnsafeDaemonConfigOption.AllowLocalhost = option.AllowLocalhostAlways
	policy.SetPolicyEnabled(option.DefaultEnforcement)
	api.InitEntities(cluster)
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "verdicts:", err)
		os.Exit(1)
	}
}

// serve answers until the input ends. A line that is not a request ends it with an error.
func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 1<<20), longest)
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return fmt.Errorf("a line is not a request: %w", err)
		}
		given, err := decide(asked)
		if err != nil {
			return fmt.Errorf("request %s: %w", asked.ID, err)
		}
		if err := encoder.Encode(given); err != nil {
			return err
		}
	}
	return lines.Err()
}

// decide puts the policies into a repository of their own, and asks it about each flow.
func decide(asked question) (*answer, error) {
	given := &answer{ID: asked.ID, Refused: []string{}, Flows: [][2]bool{}}
	var entries types.PolicyEntries
	var names []api.FQDNSelector
	for _, raw := range asked.Policies {
		read, err := read(raw)
		if err != nil {
			given.Refused = append(given.Refused, err.Error())
			continue
		}
		given.Refused = append(given.Refused, "")
		entries = append(entries, read.entries...)
		names = append(names, read.names...)
	}
	identities := make([]*identity.Identity, 0, len(asked.Endpoints))
	all := identity.IdentityMap{}
	for number, one := range asked.Endpoints {
		made, err := one.identity(number, names)
		if err != nil {
			return nil, err
		}
		identities = append(identities, made)
		all[made.ID] = made.LabelArray
	}
	manager := identitymanager.NewIDManager(logger)
	// HTTP rules may name Secrets; the request has none.
	http := envoy.NewEnvoyL7RulesTranslator(logger, certificatemanager.NewMockSecretManagerNotFound())
	repository := policy.NewPolicyRepository(logger, all, nil, http, manager, noMetrics{})
	repository.GetSelectorCache().SetLocalIdentityNotifier(noNames{})
	repository.UpdateIdentities(all, nil)
	repository.MustAddPolicyEntries(entries)
	for _, one := range asked.Flows {
		protocol, err := u8proto.ParseProtocol(one.protocol)
		if err != nil {
			return nil, err
		}
		verdict, _, _, err := policy.LookupFlow(logger, repository, manager, types.Flow{
			From:          identities[one.from],
			To:            identities[one.to],
			Proto:         protocol,
			Dport:         one.port,
			NamedPortsTCP: asked.Endpoints[one.to].Ports,
		})
		if err != nil {
			return nil, err
		}
		given.Flows = append(given.Flows, [2]bool{
			verdict.Egress == types.DecisionAllowed,
			verdict.Ingress == types.DecisionAllowed,
		})
	}
	return given, nil
}
