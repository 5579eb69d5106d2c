// A caller of engines, for the containers of tests: it keeps some requests in flight, or begins so
// many a second, and says what became of each. It repeats nothing, unlike a gateway or a client with
// retries.
//
// GET /outcome tells what became of those that ended so far; POST /end begins no more, waits for
// those in flight and tells the same of all.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	url        = flag.String("url", "", "of the engine's API, such as http://name:8000/v1")
	model      = flag.String("model", "", "name of the model")
	inFlight   = flag.Int("in-flight", 8, "requests at a time")
	rate       = flag.Float64("rate", 0, "requests that begin each second, however many are in flight")
	listen     = flag.String("listen", ":8080", "address of /outcome and /end")
	tokens     = flag.Int("tokens", 16, "tokens of each answer")
	stream     = flag.Bool("stream", true, "whether answers are streams")
	keep       = flag.Bool("keep", false, "whether a connection has several requests")
	pause      = flag.Duration("pause", 0, "of each of those in flight, between two requests")
	standIn    = flag.String("stand-in", "", "header X-Stand-In")
	patience   = flag.Duration("patience", time.Minute, "until a request counts as lost")
	firstTries = flag.Duration("wait", 0, "until the first request has to be answered")
)

// Outcome is what became of all requests.
type Outcome struct {
	Answered int            `json:"answered"`
	Failed   map[string]int `json:"failed"`
	Engines  map[string]int `json:"engines"`
	Median   float64        `json:"median"`
	P99      float64        `json:"p99"`
	Longest  float64        `json:"longest"`
}

type caller struct {
	client *http.Client
	ended  chan struct{}
	end    sync.Once
	all    sync.WaitGroup
	lock   sync.Mutex
	times  []float64
	Outcome
}

func (c *caller) record(engine string, seconds float64, err error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if err != nil {
		c.Failed[err.Error()]++
		fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), engine, err)
		return
	}
	c.Answered++
	c.Engines[engine]++
	c.times = append(c.times, seconds)
}

// call makes one request and reads its answer to the end.
func (c *caller) call() (string, error) {
	body, _ := json.Marshal(map[string]any{
		"model": *model, "max_tokens": *tokens, "stream": *stream,
		"messages": []any{map[string]any{"role": "user", "content": "count"}},
	})
	request, err := http.NewRequest(http.MethodPost, *url+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if *standIn != "" {
		request.Header.Set("X-Stand-In", *standIn)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	engine := response.Header.Get("X-Engine")
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return engine, fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	if !*stream {
		_, err = io.Copy(io.Discard, response.Body)
		return engine, err
	}
	return engine, whole(response.Body)
}

// whole reads a stream; its end alone says that nothing was cut off.
func whole(body io.Reader) error {
	lines := bufio.NewScanner(body)
	events, done := 0, false
	for lines.Scan() {
		switch {
		case lines.Text() == "data: [DONE]":
			done = true
		case strings.HasPrefix(lines.Text(), "data: "):
			events++
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !done || events != *tokens {
		return fmt.Errorf("the stream ended after %d of %d events", events, *tokens)
	}
	return nil
}

// wait makes requests until one is answered.
func (c *caller) wait() error {
	deadline := time.Now().Add(*firstTries)
	for {
		_, err := c.call()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// run makes requests until it is ended.
func (c *caller) run() {
	if *rate > 0 {
		c.all.Go(c.begin)
		return
	}
	for range *inFlight {
		c.all.Go(func() {
			for {
				begun := time.Now()
				engine, err := c.call()
				c.record(engine, time.Since(begun).Seconds(), err)
				rest := *pause
				// Without it, an end beside a pause that is over would be one of two equal cases.
				rest = max(rest, time.Millisecond)
				if err != nil {
					rest = max(rest, 100*time.Millisecond)
				}
				select {
				case <-c.ended:
					return
				case <-time.After(rest):
				}
			}
		})
	}
}

// begin begins requests at a steady rate: a slow answer holds none of them up, and what a busy machine
// held up is caught up with.
func (c *caller) begin() {
	started := time.Now()
	for count := 0; ; count++ {
		select {
		case <-c.ended:
			return
		case <-time.After(time.Until(started.Add(seconds(float64(count) / *rate)))):
			c.all.Go(func() {
				begun := time.Now()
				engine, err := c.call()
				c.record(engine, time.Since(begun).Seconds(), err)
			})
		}
	}
}

func seconds(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }

// outcome tells what became of the requests that ended.
func (c *caller) outcome(w http.ResponseWriter, _ *http.Request) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if len(c.times) > 0 {
		times := slices.Clone(c.times)
		slices.Sort(times)
		c.Median = times[len(times)/2]
		c.P99 = times[len(times)*99/100]
		c.Longest = times[len(times)-1]
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.Outcome)
}

func main() {
	flag.Parse()
	transport := &http.Transport{DisableKeepAlives: !*keep, MaxIdleConnsPerHost: max(*inFlight, 256)}
	c := &caller{
		client: &http.Client{Transport: transport, Timeout: *patience},
		ended:  make(chan struct{}),
	}
	c.Failed, c.Engines = map[string]int{}, map[string]int{}
	if err := c.wait(); err != nil {
		fmt.Fprintln(os.Stderr, "no answer:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "answered: the load begins")
	c.run()
	http.HandleFunc("GET /outcome", c.outcome)
	http.HandleFunc("POST /end", func(w http.ResponseWriter, r *http.Request) {
		c.end.Do(func() { close(c.ended) })
		c.all.Wait()
		c.outcome(w, r)
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(*listen, nil))
	os.Exit(1)
}
