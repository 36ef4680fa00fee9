package parts

import (
	"context"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/mailtrail/mailtrail/shared/trigger"
)

// NewLog writes one JSON object a line, with the id of the invocation as "request": Lambda's own lines have it too, and it is the reference
// that callers are told. Work that another invocation began, over a queue, has that one's id as "trace".
func NewLog(w io.Writer) *slog.Logger {
	return slog.New(requestLog{slog.NewJSONHandler(w, nil)})
}

// requestLog adds the ids of the invocation that ctx belongs to, and of the one that its work began with.
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
