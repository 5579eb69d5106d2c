package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// answering is the answer to one request, as a whole or token by token.
type answering struct {
	writer    http.ResponseWriter
	asked     request
	behaviour Behaviour
	tokens    int
	chat      bool
}

func (a *answering) usage() map[string]int {
	prompt := a.asked.prompt()
	return map[string]int{
		"prompt_tokens": prompt, "completion_tokens": a.tokens, "total_tokens": prompt + a.tokens,
	}
}

func (a *answering) object(kind string, choices []any) map[string]any {
	prefix := "cmpl-"
	if a.chat {
		prefix = "chat" + prefix
	}
	return map[string]any{
		"id": fmt.Sprintf("%s%x", prefix, time.Now().UnixNano()), "object": kind,
		"created": time.Now().Unix(), "model": a.asked.Model, "choices": choices,
	}
}

func (a *answering) kind(chunk bool) string {
	switch {
	case a.chat && chunk:
		return "chat.completion.chunk"
	case a.chat:
		return "chat.completion"
	}
	return "text_completion"
}

func word(index int) string { return fmt.Sprintf("w%d ", index) }

func (a *answering) event(body any) {
	text, _ := json.Marshal(body)
	fmt.Fprintf(a.writer, "data: %s\n\n", text)
	if flusher, flushes := a.writer.(http.Flusher); flushes {
		flusher.Flush()
	}
}

// token sends one token of a stream; the last has the reason of the end.
func (a *answering) token(index int) {
	if !a.asked.Stream {
		return
	}
	a.writer.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	choice := map[string]any{"index": 0, "finish_reason": nil}
	if index == a.tokens-1 {
		choice["finish_reason"] = a.reason()
	}
	if a.chat {
		delta := map[string]any{"content": word(index)}
		if index == 0 {
			delta["role"] = "assistant"
		}
		choice["delta"] = delta
	} else {
		choice["text"] = word(index)
	}
	a.event(a.object(a.kind(true), []any{choice}))
}

func (a *answering) reason() string {
	if a.asked.MaxTokens > 0 || a.asked.MaxCompletionTokens > 0 {
		return "length"
	}
	return "stop"
}

// end sends what comes after the last token, or the whole answer.
func (a *answering) end(host string) {
	if a.asked.Stream {
		if a.asked.StreamOptions.IncludeUsage {
			last := a.object(a.kind(true), []any{})
			last["usage"] = a.usage()
			a.event(last)
		}
		fmt.Fprint(a.writer, "data: [DONE]\n\n")
		return
	}
	var text strings.Builder
	for index := range a.tokens {
		text.WriteString(word(index))
	}
	choice := map[string]any{"index": 0, "finish_reason": a.reason()}
	if a.chat {
		choice["message"] = map[string]any{"role": "assistant", "content": text.String()}
	} else {
		choice["text"] = text.String()
	}
	whole := a.object(a.kind(false), []any{choice})
	whole["usage"] = a.usage()
	whole["system_fingerprint"] = host
	answer(a.writer, http.StatusOK, whole)
}
