// Command router stands in for vLLM Semantic Router: it judges prompts by the words and the length
// that the configuration names, over Envoy's external processing, and names a model.
//
// It knows no subject of a prompt: a condition of type domain never holds. A token is four bytes.
// Of the real program it has the flags, the ports and the part of the configuration that a front
// door writes.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	processor "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
)

const (
	judging = ":50051"
	metrics = ":9190"
	// Bytes of a token.
	token = 4
	// Of one prompt, with its images.
	mostBytes = 64 << 20
)

type keywords struct {
	Name          string   `json:"name"`
	Keywords      []string `json:"keywords"`
	CaseSensitive bool     `json:"case_sensitive"`
}

type band struct {
	Name      string `json:"name"`
	MinTokens string `json:"min_tokens"`
	MaxTokens string `json:"max_tokens"`
}

// rule is a condition by its type and name, or several by their operator.
type rule struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	Operator   string `json:"operator"`
	Conditions []rule `json:"conditions"`
}

type decision struct {
	Name      string `json:"name"`
	Priority  int    `json:"priority"`
	Rules     rule   `json:"rules"`
	ModelRefs []struct {
		Model string `json:"model"`
	} `json:"modelRefs"`
}

type recipe struct {
	Name    string `json:"name"`
	Routing struct {
		Signals struct {
			Keywords []keywords `json:"keywords"`
			Context  []band     `json:"context"`
		} `json:"signals"`
		Decisions []decision `json:"decisions"`
	} `json:"routing"`
}

type configuration struct {
	Entrypoints []struct {
		ModelNames []string `json:"model_names"`
		Recipe     string   `json:"recipe"`
	} `json:"entrypoints"`
	Recipes []recipe `json:"recipes"`
}

var judged atomic.Int64

func read(path string) (*configuration, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var configured configuration
	return &configured, json.Unmarshal(text, &configured)
}

func (c *configuration) recipe(model string) *recipe {
	for _, entry := range c.Entrypoints {
		if slices.Contains(entry.ModelNames, model) {
			for i := range c.Recipes {
				if c.Recipes[i].Name == entry.Recipe {
					return &c.Recipes[i]
				}
			}
		}
	}
	return nil
}

// model returns what the decision of the highest priority that holds names.
func (r *recipe) model(prompt string) (string, bool) {
	signals := map[string]bool{}
	for _, one := range r.Routing.Signals.Keywords {
		signals["keyword/"+one.Name] = slices.ContainsFunc(one.Keywords, func(word string) bool {
			pattern := `\b` + regexp.QuoteMeta(word) + `\b`
			if !one.CaseSensitive {
				pattern = "(?i)" + pattern
			}
			return regexp.MustCompile(pattern).MatchString(prompt)
		})
	}
	for _, one := range r.Routing.Signals.Context {
		least, _ := strconv.Atoi(one.MinTokens)
		most, _ := strconv.Atoi(one.MaxTokens)
		tokens := len(prompt) / token
		signals["context/"+one.Name] = least <= tokens && tokens <= most
	}
	best, named := -1, ""
	for _, one := range r.Routing.Decisions {
		if one.Priority > best && len(one.ModelRefs) > 0 && one.Rules.holds(signals) {
			best, named = one.Priority, one.ModelRefs[0].Model
		}
	}
	return named, best >= 0
}

func (r rule) holds(signals map[string]bool) bool {
	if r.Type != "" {
		return signals[r.Type+"/"+r.Name]
	}
	held := func(one rule) bool { return one.holds(signals) }
	if r.Operator == "OR" {
		return slices.ContainsFunc(r.Conditions, held)
	}
	return !slices.ContainsFunc(r.Conditions, func(one rule) bool { return !held(one) })
}

// prompt returns all that a request says, in its order.
func prompt(body map[string]any) string {
	var parts []string
	if text, ok := body["prompt"].(string); ok {
		parts = append(parts, text)
	}
	messages, _ := body["messages"].([]any)
	for _, message := range messages {
		one, _ := message.(map[string]any)
		switch content := one["content"].(type) {
		case string:
			parts = append(parts, content)
		case []any:
			for _, piece := range content {
				if text, ok := piece.(map[string]any)["text"].(string); ok {
					parts = append(parts, text)
				}
			}
		}
	}
	return strings.Join(parts, "\n")
}

type server struct {
	processor.UnimplementedExternalProcessorServer
	path string
}

func (s *server) Process(stream processor.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer := &processor.ProcessingResponse{}
		switch asked := request.Request.(type) {
		case *processor.ProcessingRequest_RequestHeaders:
			headers := &processor.HeadersResponse{}
			answer.Response = &processor.ProcessingResponse_RequestHeaders{RequestHeaders: headers}
		case *processor.ProcessingRequest_RequestBody:
			made, err := s.judge(asked.RequestBody.Body)
			if err != nil {
				return err
			}
			answer.Response = &processor.ProcessingResponse_RequestBody{RequestBody: made}
		default:
			return fmt.Errorf("no part of a request: %T", asked)
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// judge writes the model into a body; one that asks for no name of the configuration is refused.
func (s *server) judge(text []byte) (*processor.BodyResponse, error) {
	configured, err := read(s.path)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, err
	}
	asked, _ := body["model"].(string)
	chosen := configured.recipe(asked)
	if chosen == nil {
		return nil, fmt.Errorf("no recipe for model %q", asked)
	}
	model, decided := chosen.model(prompt(body))
	if !decided {
		return nil, fmt.Errorf("no decision of %q holds", asked)
	}
	judged.Add(1)
	body["model"] = model
	changed, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &processor.BodyResponse{Response: &processor.CommonResponse{
		HeaderMutation: &processor.HeaderMutation{
			SetHeaders: []*core.HeaderValueOption{{
				Header: &core.HeaderValue{Key: "x-selected-model", RawValue: []byte(model)},
			}},
			RemoveHeaders: []string{"content-length"},
		},
		BodyMutation: &processor.BodyMutation{
			Mutation: &processor.BodyMutation_Body{Body: changed},
		},
	}}, nil
}

func main() {
	flag.Bool("enable-api", true, "of the real program; there is no API here")
	flag.Parse()
	path := os.Getenv("CONFIG_FILE")
	if _, err := read(path); err != nil {
		log.Fatal(err)
	}
	go func() {
		http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "# TYPE stand_in_judged_total counter")
			fmt.Fprintf(w, "stand_in_judged_total %d\n", judged.Load())
		})
		log.Fatal(http.ListenAndServe(metrics, nil))
	}()
	listener, err := net.Listen("tcp", judging)
	if err != nil {
		log.Fatal(err)
	}
	serving := grpc.NewServer(grpc.MaxRecvMsgSize(mostBytes), grpc.MaxSendMsgSize(mostBytes))
	processor.RegisterExternalProcessorServer(serving, &server{path: path})
	log.Fatal(serving.Serve(listener))
}
