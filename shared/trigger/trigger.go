// Package trigger turns the events that AWS hands to a Lambda function into what the rooms understand: an HTTP
// request, the body of a queued message, the time of a tick, a command. It is the only room that knows how such
// events look.
//
// Each trigger is a lambda.Handler. An event that is not of its kind is refused with ErrUnknown and a line in the log
// that names what came, never guessed at.
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

// ErrUnknown means that the event is not of the kind that the function is for: it is wired to the wrong trigger.
var ErrUnknown = errors.New("unknown event")

const (
	margin      = 3 * time.Second // before the deadline of the function, at which Lambda kills it
	maxKeys     = 12              // that are named of an unknown event
	maxKeyBytes = 40
)

// early is ctx, ended so long before the function's deadline that what was begun can be put away and answered: a
// quarter of the time that is left, or the margin if that is shorter.
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

// describe names what an event is without repeating what it holds: its keys, and the service that says it is the
// source.
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

// sourceOf is the service that an event says it is from, as SQS, S3, SNS and EventBridge write it, or "".
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
