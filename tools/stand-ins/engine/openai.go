package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

type engine struct {
	arguments Arguments
	behaviour atomic.Pointer[Behaviour]
	batch     chan struct{}
	running   atomic.Int64
	waiting   atomic.Int64
	kvTokens  atomic.Int64
	draining  atomic.Bool
	frozen    chan struct{} // closed once what is in flight hangs
	metrics   *metrics
	host      string
}

func newEngine(arguments Arguments, behaviour Behaviour) *engine {
	host, _ := os.Hostname()
	e := &engine{
		arguments: arguments,
		batch:     make(chan struct{}, max(arguments.MaxNumSeqs, 1)),
		frozen:    make(chan struct{}),
		metrics:   newMetrics(),
		host:      host,
	}
	e.behaviour.Store(&behaviour)
	return e
}

func (e *engine) inFlight() int64 { return e.running.Load() + e.waiting.Load() }
func (e *engine) refuses() bool   { return e.behaviour.Load().refuses() }
func (e *engine) models() []string {
	hot, _ := e.arguments.Follows.loaded()
	return append(append(slices.Clone(e.arguments.Names), e.arguments.Adapters...), hot...)
}

func (e *engine) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		if e.behaviour.Load().forModel("").Fault == hangs {
			<-r.Context().Done()
		}
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"version": e.behaviour.Load().Version})
	})
	mux.HandleFunc("GET /metrics", e.exposition)
	mux.HandleFunc("GET /v1/models", e.metrics.counting(e.list))
	mux.HandleFunc("POST /v1/chat/completions", e.metrics.counting(e.complete))
	mux.HandleFunc("POST /v1/completions", e.metrics.counting(e.complete))
	mux.HandleFunc("GET /stand-in", e.steer)
	mux.HandleFunc("POST /stand-in", e.steer)
	return mux
}

// steer shows the behaviour, or changes it from now on.
func (e *engine) steer(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		behaviour, err := e.behaviour.Load().changed(string(text))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		log.Println("behaves from now on:", string(text))
		if behaviour.forModel("").Fault == dies {
			os.Exit(1)
		}
		e.behaviour.Store(&behaviour)
	}
	answer(w, http.StatusOK, e.behaviour.Load())
}

func (e *engine) list(w http.ResponseWriter, _ *http.Request) {
	items := []map[string]any{}
	_, hot := e.arguments.Follows.loaded()
	paths := append(slices.Clone(e.arguments.Paths), hot...)
	for index, name := range e.models() {
		item := map[string]any{
			"id": name, "object": "model", "created": time.Now().Unix(), "owned_by": "vllm",
			"root": e.arguments.Model, "parent": nil, "max_model_len": e.arguments.MaxModelLen,
		}
		if adapter := index - len(e.arguments.Names); adapter >= 0 && adapter < len(paths) {
			item["root"], item["parent"] = paths[adapter], e.arguments.Names[0]
		}
		items = append(items, item)
	}
	answer(w, http.StatusOK, map[string]any{"object": "list", "data": items})
}

// request is what makes a difference of a completion's request.
type request struct {
	Model               string            `json:"model"`
	Messages            []json.RawMessage `json:"messages"`
	Prompt              any               `json:"prompt"`
	MaxTokens           int               `json:"max_tokens"`
	MaxCompletionTokens int               `json:"max_completion_tokens"`
	Stream              bool              `json:"stream"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// prompt is the number of tokens of the prompt: about one for four characters.
func (q request) prompt() int {
	size := len(fmt.Sprint(q.Prompt))
	for _, message := range q.Messages {
		size += len(message)
	}
	return size/4 + 1
}

func (e *engine) complete(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	w.Header().Set("X-Engine", e.host)
	w.Header().Set("X-Caller", r.Header.Get("X-Inference-Caller"))
	w.Header().Set("X-Header-Names", strings.Join(slices.Sorted(maps.Keys(r.Header)), ","))
	behaviour, err := e.behaviour.Load().forRequest(r.Header.Get("X-Stand-In"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequestError", "X-Stand-In: "+err.Error())
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("X-Received", strconv.Itoa(len(body)))
	var asked request
	if err := json.Unmarshal(body, &asked); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequestError", err.Error())
		return
	}
	w.Header().Set("X-Model", asked.Model)
	behaviour = behaviour.forModel(asked.Model)
	if e.draining.Load() {
		text := "cannot schedule new futures after shutdown"
		refuse(w, http.StatusInternalServerError, "InternalServerError", text)
		return
	}
	switch behaviour.Fault {
	case hangs:
		<-r.Context().Done()
		return
	case fails:
		refuse(w, http.StatusInternalServerError, "InternalServerError", "EngineDeadError")
		return
	case wrong:
		_, _ = io.WriteString(w, "<html>not an answer of the API</html>")
		return
	case dies:
		log.Println("asked to die")
		os.Exit(1)
	}
	if !slices.Contains(e.models(), asked.Model) {
		text := fmt.Sprintf("The model `%s` does not exist.", asked.Model)
		refuse(w, http.StatusNotFound, "NotFoundError", text)
		return
	}
	tokens := max(asked.MaxTokens, asked.MaxCompletionTokens)
	if tokens == 0 {
		tokens = behaviour.Tokens
	}
	if prompt := asked.prompt(); prompt+tokens > e.arguments.MaxModelLen {
		text := fmt.Sprintf("This model's maximum context length is %d tokens. However, you requested"+
			" %d output tokens and your prompt contains %d input tokens.",
			e.arguments.MaxModelLen, tokens, prompt)
		refuse(w, http.StatusBadRequest, "BadRequestError", text)
		return
	}
	if !e.enter(r) {
		return
	}
	defer e.leave(asked.prompt() + tokens)
	e.kvTokens.Add(int64(asked.prompt() + tokens))
	e.metrics.queued(time.Since(begun))
	answering := &answering{w, asked, behaviour, tokens, strings.HasSuffix(r.URL.Path, "/chat/completions")}
	if e.generate(answering, r, begun) {
		e.metrics.succeeded(asked.prompt(), tokens, time.Since(begun))
	}
}

// enter waits for room in the batch; false when the caller has gone meanwhile.
func (e *engine) enter(r *http.Request) bool {
	e.waiting.Add(1)
	defer e.waiting.Add(-1)
	select {
	case e.batch <- struct{}{}:
		e.running.Add(1)
		return true
	case <-r.Context().Done():
		return false
	}
}

func (e *engine) leave(tokens int) {
	e.kvTokens.Add(-int64(tokens))
	e.running.Add(-1)
	<-e.batch
}

// generate makes one token after the other; false when the caller has gone or the answer was cut.
func (e *engine) generate(a *answering, r *http.Request, begun time.Time) bool {
	last := begun
	for index := range a.tokens {
		pause := a.behaviour.TokenSeconds
		if index == 0 {
			pause = a.behaviour.FirstTokenSeconds
		}
		select {
		case <-time.After(seconds_(pause)):
		case <-r.Context().Done():
			return false
		case <-e.frozen:
			<-r.Context().Done()
			return false
		}
		if index == 0 {
			e.metrics.first.observe(time.Since(begun).Seconds())
		} else {
			e.metrics.between.observe(time.Since(last).Seconds())
		}
		last = time.Now()
		if a.behaviour.Fault == breaks && index == a.tokens/2 {
			panic(http.ErrAbortHandler)
		}
		a.token(index)
	}
	a.end(e.host)
	return true
}

func refuse(w http.ResponseWriter, status int, kind, text string) {
	problem := map[string]any{"message": text, "type": kind, "param": nil, "code": status}
	answer(w, status, map[string]any{"error": problem})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
