package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"
)

// Command runs a direct invocation of the function, {"<Name>": {...}}: who may give it is whom IAM lets invoke the function. No event
// of another trigger looks like that; all others go on to Else.
type Command struct {
	Name string
	// Run does it, with what stands under Name, and returns what is answered as JSON. The answer is not logged.
	Run  func(ctx context.Context, body []byte) (any, error)
	Else lambda.Handler
	Log  *slog.Logger
}

// Invoke runs the command, or what else came.
func (t *Command) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(event, &fields); err != nil || len(fields) != 1 || fields[t.Name] == nil {
		return t.Else.Invoke(ctx, event)
	}
	work, cancel := early(ctx)
	defer cancel()
	out, err := t.Run(work, fields[t.Name])
	if err != nil {
		err = fmt.Errorf("%s: %w", t.Name, err)
		t.Log.ErrorContext(ctx, "command failed", "err", err)
		return nil, err
	}
	return json.Marshal(out)
}
