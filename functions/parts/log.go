package parts

import (
	"context"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/mailtrail/mailtrail/shared/trigger"
)

// NewLog returns a log that writes one JSON object per line. "request" is the id of the invocation, which Lambda's own
// lines have too, and which callers receive as a reference. "trace" is the id of the invocation that began the work, if
// that was another one and the work came over a queue.
func NewLog(w io.Writer) *slog.Logger {
	return slog.New(requestLog{slog.NewJSONHandler(w, nil)})
}

// requestLog adds the id of the invocation to which ctx belongs, and of the one that began its work.
type requestLog struct{ slog.Handler }

func (h requestLog) Handle(ctx context.Context, r slog.Record) error {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		r.AddAttrs(slog.String("request", lc.AwsRequestID))
		if trace := trigger.Trace(ctx); trace != lc.AwsRequestID {
			r.AddAttrs(slog.String("trace", trace))
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestLog{h.Handler.WithAttrs(attrs)}
}

func (h requestLog) WithGroup(name string) slog.Handler {
	return requestLog{h.Handler.WithGroup(name)}
}
