// A stand-in for vLLM in the containers of tests: it has no model and needs no GPU.
//
// It takes the command line that the product renders, and speaks OpenAI's API with vLLM's names of
// models, its errors, its metrics and its end: what drain as of which version was measured is in
// e2e/drain/engine.py. It looks for the directories that the command line names, as vLLM does, so
// that pods need the weights that the preload Job published.
//
// How long it takes and what is wrong with it comes from the environment (STAND_IN, JSON of
// Behaviour), from POST /stand-in with the same JSON while it runs, and for one request from the
// header X-Stand-In.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Arguments are those of vLLM's that make a difference here.
type Arguments struct {
	Model           string
	Names           []string
	Adapters        []string // names
	Paths           []string // of adapters
	Host            string
	Port            int
	MaxModelLen     int
	MaxNumSeqs      int
	MaxLoras        int
	ShutdownTimeout time.Duration
	Follows         *Follower // hot adapters; nil without
}

// parse reads a command line of vLLM's; flags that make no difference here are passed over.
func parse(words []string) (Arguments, error) {
	arguments := Arguments{Port: 8000, MaxModelLen: 32768, MaxNumSeqs: 256, MaxLoras: 1}
	values := map[string][]string{}
	flag := ""
	for _, word := range words {
		if name, found := strings.CutPrefix(word, "--"); found {
			name, value, given := strings.Cut(name, "=")
			flag = strings.ReplaceAll(name, "_", "-")
			values[flag] = nil
			if given {
				values[flag] = []string{value}
				if flag != "lora-modules" && flag != "served-model-name" {
					flag = ""
				}
			}
		} else if flag != "" {
			values[flag] = append(values[flag], word)
		} else if arguments.Model == "" && word != "serve" {
			arguments.Model = word
		}
	}
	numbers := map[string]*int{
		"port": &arguments.Port, "max-model-len": &arguments.MaxModelLen,
		"max-num-seqs": &arguments.MaxNumSeqs, "max-loras": &arguments.MaxLoras,
	}
	for name, place := range numbers {
		if value := values[name]; len(value) == 1 {
			number, err := strconv.Atoi(value[0])
			if err != nil {
				return arguments, fmt.Errorf("argument --%s: invalid int value: %q", name, value[0])
			}
			*place = number
		}
	}
	if value := values["shutdown-timeout"]; len(value) == 1 {
		seconds, err := strconv.ParseFloat(value[0], 64)
		if err != nil {
			return arguments, fmt.Errorf("argument --shutdown-timeout: invalid value: %q", value[0])
		}
		arguments.ShutdownTimeout = seconds_(seconds)
	}
	if host := values["host"]; len(host) == 1 {
		arguments.Host = host[0]
	}
	arguments.Names = values["served-model-name"]
	if len(arguments.Names) == 0 {
		arguments.Names = []string{arguments.Model}
	}
	arguments.Follows = follower(values["middleware"])
	for _, module := range values["lora-modules"] {
		name, path, found := strings.Cut(module, "=")
		if !found {
			return arguments, fmt.Errorf("argument --lora-modules: invalid value: %q", module)
		}
		arguments.Adapters = append(arguments.Adapters, name)
		arguments.Paths = append(arguments.Paths, path)
	}
	return arguments, nil
}

// missing names a directory of weights that is not there; a name of the hub's is no directory.
func (a Arguments) missing() string {
	for _, path := range append([]string{a.Model}, a.Paths...) {
		if !filepath.IsAbs(path) {
			continue
		}
		if entries, err := os.ReadDir(path); err != nil || len(entries) == 0 {
			return path
		}
	}
	return ""
}

func seconds_(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	// Both versions ignore the signal during their start.
	ended := make(chan os.Signal, 8)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	log.Println("stand-in for vLLM, arguments:", strings.Join(os.Args[1:], " "))
	arguments, err := parse(os.Args[1:])
	if err != nil {
		log.Fatalln("api_server.py: error:", err)
	}
	if path := arguments.missing(); path != "" {
		log.Fatalf("OSError: %s does not appear to have any file", path)
	}
	behaviour, err := behaviourOf(os.Getenv("STAND_IN"))
	if err != nil {
		log.Fatalln("STAND_IN:", err)
	}
	engine := newEngine(arguments, behaviour)
	time.Sleep(seconds_(behaviour.StartSeconds))
	for len(ended) > 0 {
		<-ended
	}
	server := &http.Server{
		Addr:    fmt.Sprintf("%s:%d", arguments.Host, arguments.Port),
		Handler: engine.routes(),
		// uvicorn keeps a connection for so long (vllm/envs.py, VLLM_HTTP_TIMEOUT_KEEP_ALIVE).
		IdleTimeout: 5 * time.Second,
	}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatalln(err)
		}
	}()
	log.Println("serving", strings.Join(append(arguments.Names, arguments.Adapters...), ", "))
	<-ended
	engine.drain(server)
	log.Println("ended")
}

// drain ends as vLLM does: requests in flight finish within the time for it, and hang beyond it. An
// early version refuses connections from the first moment on; a later one answers with 500.
func (e *engine) drain(server *http.Server) {
	e.draining.Store(true)
	log.Println("SIGTERM:", e.running.Load(), "running,", e.waiting.Load(), "waiting")
	closed := make(chan struct{})
	shut := func() {
		_ = server.Shutdown(context.Background())
		close(closed)
	}
	if e.refuses() {
		go shut()
	}
	deadline := time.Now().Add(e.arguments.ShutdownTimeout)
	for e.inFlight() > 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if e.inFlight() > 0 {
		log.Println(e.inFlight(), "requests hang from now on")
		close(e.frozen)
	}
	if !e.refuses() {
		go shut()
	}
	<-closed
	time.Sleep(seconds_(e.behaviour.Load().ExitSeconds))
}
