package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of buckets as of vLLM 0.25.1 (tests/alerts/expositions), fewer of the long ones.
var (
	firstBounds   = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	betweenBounds = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	wholeBounds   = []float64{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
)

type histogram struct {
	lock   sync.Mutex
	bounds []float64
	counts []int
	sum    float64
	count  int
}

func (h *histogram) observe(value float64) {
	h.lock.Lock()
	defer h.lock.Unlock()
	for index, bound := range h.bounds {
		if value <= bound {
			h.counts[index]++
		}
	}
	h.sum += value
	h.count++
}

func newHistogram(bounds []float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]int, len(bounds))}
}

type metrics struct {
	lock       sync.Mutex
	prompt     int
	generated  int
	success    int
	first      *histogram
	between    *histogram
	whole      *histogram
	queueTimes *histogram
	answers    map[string]int // by the labels of their series
}

func newMetrics() *metrics {
	return &metrics{
		first: newHistogram(firstBounds), between: newHistogram(betweenBounds),
		whole: newHistogram(wholeBounds), queueTimes: newHistogram(wholeBounds),
		answers: map[string]int{},
	}
}

// noted is a writer that knows which status it wrote.
type noted struct {
	http.ResponseWriter
	status int
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

func (n *noted) Flush() {
	if flusher, flushes := n.ResponseWriter.(http.Flusher); flushes {
		flusher.Flush()
	}
}

// counting counts what a handler answers, by the class of its status.
func (m *metrics) counting(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		writer := &noted{w, http.StatusOK}
		defer func() {
			m.lock.Lock()
			defer m.lock.Unlock()
			m.answers[fmt.Sprintf(`handler=%q,method=%q,status="%dxx"`, r.URL.Path, r.Method, writer.status/100)]++
		}()
		next(writer, r)
	}
}

func (m *metrics) queued(time time.Duration) { m.queueTimes.observe(time.Seconds()) }

func (m *metrics) succeeded(prompt, generated int, time time.Duration) {
	m.lock.Lock()
	m.prompt += prompt
	m.generated += generated
	m.success++
	m.lock.Unlock()
	m.whole.observe(time.Seconds())
}

// exposition is /metrics. Readers such as the endpoint picker pass over series without a type.
func (e *engine) exposition(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var text strings.Builder
	labels := fmt.Sprintf(`engine="0",model_name=%q`, e.arguments.Names[0])
	sample := func(kind, name, labels string, value float64) {
		fmt.Fprintf(&text, "# TYPE vllm:%s %s\nvllm:%s{%s} %s\n", name, kind, name, labels, number(value))
	}
	behaviour := e.behaviour.Load()
	kv := float64(e.kvTokens.Load()) / float64(max(behaviour.KVTokens, 1))
	sample("gauge", "num_requests_running", labels, float64(e.running.Load()))
	sample("gauge", "num_requests_waiting", labels, shown(behaviour.ShownWaiting, float64(e.waiting.Load())))
	sample("gauge", "kv_cache_usage_perc", labels, shown(behaviour.ShownKV, math.Min(kv, 1)))
	m := e.metrics
	m.lock.Lock()
	sample("counter", "prompt_tokens_total", labels, float64(m.prompt))
	sample("counter", "generation_tokens_total", labels, float64(m.generated))
	sample("counter", "num_preemptions_total", labels, 0)
	sample("counter", "request_success_total", labels+`,finished_reason="stop"`, float64(m.success))
	// Nothing of a prompt is remembered.
	sample("counter", "prefix_cache_queries_total", labels, float64(m.prompt))
	sample("counter", "prefix_cache_hits_total", labels, 0)
	text.WriteString("# TYPE http_requests_total counter\n")
	for _, labels := range slices.Sorted(maps.Keys(m.answers)) {
		fmt.Fprintf(&text, "http_requests_total{%s} %s\n", labels, number(float64(m.answers[labels])))
	}
	m.lock.Unlock()
	m.first.write(&text, "time_to_first_token_seconds", labels)
	m.between.write(&text, "inter_token_latency_seconds", labels)
	m.whole.write(&text, "e2e_request_latency_seconds", labels)
	m.queueTimes.write(&text, "request_queue_time_seconds", labels)
	adapters := slices.Clone(e.arguments.Adapters)
	slices.Sort(adapters)
	sample("gauge", "lora_requests_info", fmt.Sprintf(
		`max_lora="%d",running_lora_adapters=%q,waiting_lora_adapters=""`,
		e.arguments.MaxLoras, strings.Join(adapters, ",")), float64(time.Now().Unix()))
	sample("gauge", "cache_config_info", fmt.Sprintf(
		`block_size="16",cache_dtype="auto",enable_prefix_caching="True",engine="0",num_gpu_blocks="%d"`,
		behaviour.KVTokens/16), 1)
	_, _ = fmt.Fprint(w, text.String())
}

func shown(given, real float64) float64 {
	if given >= 0 {
		return given
	}
	return real
}

func (h *histogram) write(text *strings.Builder, name, labels string) {
	h.lock.Lock()
	defer h.lock.Unlock()
	fmt.Fprintf(text, "# TYPE vllm:%s histogram\n", name)
	for index, bound := range h.bounds {
		fmt.Fprintf(text, "vllm:%s_bucket{%s,le=%q} %s\n", name, labels, number(bound), number(float64(h.counts[index])))
	}
	fmt.Fprintf(text, "vllm:%s_bucket{%s,le=\"+Inf\"} %s\n", name, labels, number(float64(h.count)))
	fmt.Fprintf(text, "vllm:%s_count{%s} %s\n", name, labels, number(float64(h.count)))
	fmt.Fprintf(text, "vllm:%s_sum{%s} %s\n", name, labels, number(h.sum))
}

// number is a float as Python's client writes it.
func number(value float64) string {
	text := strconv.FormatFloat(value, 'g', -1, 64)
	if !strings.ContainsAny(text, ".eIN") {
		text += ".0"
	}
	return text
}
