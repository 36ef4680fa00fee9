// Package trigger turns the events that a Lambda function receives into what the rooms understand: an HTTP request, the
// body of a queued message, the time of a tick, a command. No other room knows the form of such events.
//
// Each trigger is a lambda.Handler. It refuses an event of another kind with ErrUnknown, and logs what came; it never
// guesses.
package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
)

// ErrUnknown means that the event is of a kind which the function does not handle: it is wired to the wrong trigger.
var ErrUnknown = errors.New("unknown event")

const (
	margin      = 3 * time.Second // before the deadline of the function, at which Lambda kills it
	maxKeys     = 12              // of an unknown event that are logged
	maxKeyBytes = 40
)

// early returns ctx with an earlier deadline than the function's, so that there is time to finish what was begun and to
// answer: earlier by a quarter of the time that is left, or by the margin if that is shorter.
func early(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(margin, time.Until(deadline)/4)))
}

func refuse(ctx context.Context, log *slog.Logger, event []byte, want string) error {
	came := describe(event)
	log.ErrorContext(ctx, "event refused", "want", want, "came", came)
	return fmt.Errorf("%w: this function takes %s, and what came is %s", ErrUnknown, want, came)
}

// describe describes an event without its content: its keys, and the service that it names as its source.
func describe(event []byte) string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(event, &fields); err != nil || fields == nil {
		return fmt.Sprintf("no JSON object, %d bytes", len(event))
	}
	keys := slices.Sorted(maps.Keys(fields))
	more := ""
	if len(keys) > maxKeys {
		keys, more = keys[:maxKeys], ", and more"
	}
	for i, key := range keys {
		keys[i] = short(key)
	}
	of := ""
	if source := sourceOf(fields); source != "" {
		of = " from " + short(source)
	}
	return "an object" + of + " with the keys [" + strings.Join(keys, " ") + more + "]"
}

// sourceOf returns the service that an event names as its source, as SQS, S3, SNS and EventBridge write it, or "".
func sourceOf(fields map[string]json.RawMessage) string {
	var source string
	if json.Unmarshal(fields["source"], &source) == nil {
		return source
	}
	var records []struct {
		EventSource string `json:"eventSource"` // SNS writes EventSource, which matches too
	}
	if json.Unmarshal(fields["Records"], &records) == nil && len(records) > 0 {
		return records[0].EventSource
	}
	return ""
}

func short(s string) string {
	if len(s) > maxKeyBytes {
		s = s[:maxKeyBytes]
	}
	return strconv.QuoteToASCII(s)
}

// strict decodes one JSON object as the API decodes bodies.
func strict(data []byte, v any) error {
	if problems := access.Decode(data, v); len(problems) > 0 {
		return &access.Refused{Status: http.StatusBadRequest, Problems: problems}
	}
	return nil
}
