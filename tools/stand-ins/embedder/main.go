// A stand-in for text-embeddings-inference in the containers of tests: it has no model.
//
// It takes the command line that the product renders, looks for the directory of the weights, and
// answers OpenAI's embeddings with three numbers. What it refuses, with which status and words, and
// its series are those of TEI 1.9.3, of router/src/http/server.rs and core/src/infer.rs.
// POST /stand-in with {"queue": 20} shows so many texts that wait.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A bound above every time of this program, in seconds.
const bound = 10

type engine struct {
	lock     sync.Mutex
	model    string
	host     string
	mostHeld int   // texts that are held at a time
	mostSent int   // texts of a request
	payload  int64 // bytes of a request
	held     int
	requests map[string]int // by method
	answered map[string]int // by method
	failures map[string]int // by err
	begun    int            // texts
	texts    int
	words    int
	queue    int
	seconds  float64
}

// refuse answers as TEI does on OpenAI's path, and counts why.
func (e *engine) refuse(w http.ResponseWriter, status int, kind, counted, message string) {
	e.lock.Lock()
	e.failures[counted]++
	e.lock.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"message": message, "code": status, "type": kind})
}

// hold takes room for the texts of a request, or tells that there is none.
func (e *engine) hold(texts int) bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	if e.held+texts > e.mostHeld {
		return false
	}
	e.held += texts
	return true
}

// free gives the room back.
func (e *engine) free(texts int) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.held -= texts
}

// flags reads --name=value; others are passed over.
func flags(words []string) map[string]string {
	values := map[string]string{}
	for _, word := range words {
		if name, value, given := strings.Cut(strings.TrimPrefix(word, "--"), "="); given {
			values[name] = value
		}
	}
	return values
}

func (e *engine) embed(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, e.payload))
	if err != nil {
		// axum reads no further, and names no reason of its own.
		http.Error(w, "length limit exceeded", http.StatusRequestEntityTooLarge)
		return
	}
	var asked struct {
		Input any    `json:"input"`
		Model string `json:"model"`
	}
	if !json.Valid(body) {
		http.Error(w, "Failed to parse the request body as JSON", http.StatusBadRequest)
		return
	}
	var texts []string
	method := "single"
	err = json.Unmarshal(body, &asked)
	switch input := asked.Input.(type) {
	case string:
		texts = []string{input}
	case []any:
		if len(input) == 0 {
			texts = []string{""} // TEI reads one text of no tokens
			break
		}
		method = "batch"
		for _, one := range input {
			texts = append(texts, fmt.Sprint(one))
		}
	default:
		err = errors.New("no input")
	}
	if err != nil {
		words := "Failed to deserialize the JSON body into the target type: " + err.Error()
		http.Error(w, words, http.StatusUnprocessableEntity)
		return
	}
	e.lock.Lock()
	e.requests[method]++
	e.lock.Unlock()
	switch {
	case len(texts) > e.mostSent:
		words := "batch size %d > maximum allowed batch size %d"
		message := fmt.Sprintf(words, len(texts), e.mostSent)
		e.refuse(w, http.StatusUnprocessableEntity, "Validation", "batch_size", message)
		return
	case !e.hold(len(texts)):
		e.refuse(w, http.StatusTooManyRequests, "Overloaded", "overloaded", "Model is overloaded")
		return
	}
	e.lock.Lock()
	e.begun += len(texts)
	e.lock.Unlock()
	if slices.Contains(texts, "") {
		e.free(len(texts))
		e.refuse(w, http.StatusBadRequest, "Empty", "tokenization", "Input validation error: `inputs` cannot be empty")
		return
	}
	words := 0
	data := []map[string]any{}
	for index, text := range texts {
		words += len(strings.Fields(text)) + 2
		vector := []float64{0.1, 0.2, 0.3}
		data = append(data, map[string]any{"object": "embedding", "index": index, "embedding": vector})
	}
	e.free(len(texts))
	e.lock.Lock()
	e.answered[method]++
	e.texts += len(texts)
	e.words += words
	e.seconds += time.Since(begun).Seconds()
	e.lock.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Engine", e.host)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"object": "list", "data": data, "model": e.model,
		"usage": map[string]int{"prompt_tokens": words, "total_tokens": words},
	})
}

// exposition is empty before the first request, as TEI's is.
func (e *engine) exposition(w http.ResponseWriter, _ *http.Request) {
	e.lock.Lock()
	defer e.lock.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	answered := 0
	for name, counted := range map[string]map[string]int{
		"te_request_count{method=":   e.requests,
		"te_request_success{method=": e.answered,
		"te_request_failure{err=":    e.failures,
	} {
		if len(counted) > 0 {
			family, _, _ := strings.Cut(name, "{")
			fmt.Fprintf(w, "# TYPE %s counter\n", family)
		}
		for label, value := range counted {
			fmt.Fprintf(w, "%s%q} %d\n", name, label, value)
		}
	}
	for _, value := range e.answered {
		answered += value
	}
	if answered == 0 {
		return
	}
	for name, value := range map[string]int{"te_embed_count": e.begun, "te_embed_success": e.texts} {
		fmt.Fprintf(w, "# TYPE %s counter\n%s %d\n", name, name, value)
	}
	fmt.Fprintf(w, "# TYPE te_queue_size gauge\nte_queue_size %d\n", e.queue)
	for name, sum := range map[string]float64{
		"te_request_duration":              e.seconds,
		"te_embed_duration":                e.seconds,
		"te_request_tokenization_duration": 0,
		"te_embed_tokenization_duration":   0,
		"te_request_queue_duration":        0,
		"te_embed_queue_duration":          0,
		"te_request_inference_duration":    e.seconds,
		"te_embed_inference_duration":      e.seconds,
		"te_request_input_length":          float64(e.words),
		"te_batch_next_size":               float64(e.texts),
		"te_batch_next_tokens":             float64(e.words),
	} {
		// One of each request, or of each text by itself.
		count := e.texts
		if strings.HasPrefix(name, "te_request_") && name != "te_request_input_length" {
			count = answered
		}
		fmt.Fprintf(w, "# TYPE %s histogram\n", name)
		fmt.Fprintf(w, "%s_bucket{le=\"%d\"} %d\n%s_bucket{le=\"+Inf\"} %d\n", name, bound, count, name, count)
		fmt.Fprintf(w, "%s_sum %g\n%s_count %d\n", name, sum, name, count)
	}
}

// number reads a flag's whole number, or the one that TEI has without it.
func number(given map[string]string, name string, otherwise int) int {
	if value, err := strconv.Atoi(given[name]); err == nil {
		return value
	}
	return otherwise
}

// steer changes what is shown from now on.
func (e *engine) steer(w http.ResponseWriter, r *http.Request) {
	var shown struct {
		Queue int `json:"queue"`
	}
	if err := json.NewDecoder(r.Body).Decode(&shown); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.lock.Lock()
	e.queue = shown.Queue
	e.lock.Unlock()
}

func main() {
	given := flags(os.Args[1:])
	if _, err := os.Stat(given["model-id"]); err != nil {
		log.Fatal(err)
	}
	host, _ := os.Hostname()
	e := &engine{
		model:    given["served-model-name"],
		host:     host,
		mostHeld: number(given, "max-concurrent-requests", 512),
		mostSent: number(given, "max-client-batch-size", 32),
		payload:  int64(number(given, "payload-limit", 2_000_000)),
		requests: map[string]int{},
		answered: map[string]int{},
		failures: map[string]int{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", e.exposition)
	mux.HandleFunc("POST /v1/embeddings", e.embed)
	mux.HandleFunc("POST /stand-in", e.steer)
	serving := &http.Server{Addr: given["hostname"] + ":" + given["port"], Handler: mux}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ended
		_ = serving.Shutdown(context.Background())
	}()
	log.Printf("serving %s", e.model)
	if err := serving.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // Shutdown may still write
}
