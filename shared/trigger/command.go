package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"
)

// Command runs a direct invocation of the function, {"<Name>": <In as JSON>}. IAM decides who may invoke the function.
// No event of another trigger looks like that; all other events go to Else.
type Command[In any] struct {
	Name string
	// Run does what In asks for, and returns the answer, which is sent as JSON. Neither is logged.
	Run  func(ctx context.Context, in In) (any, error)
	Else lambda.Handler
	Log  *slog.Logger
}

// Invoke runs the command, or passes any other event to Else.
func (t *Command[In]) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(event, &fields); err != nil || len(fields) != 1 || fields[t.Name] == nil {
		return t.Else.Invoke(ctx, event)
	}
	work, cancel := early(ctx)
	defer cancel()
	answer, err := t.run(work, fields[t.Name])
	if err != nil {
		err = fmt.Errorf("%s: %w", t.Name, err)
		t.Log.ErrorContext(ctx, "command failed", "err", err)
	}
	return answer, err
}

func (t *Command[In]) run(ctx context.Context, body []byte) ([]byte, error) {
	var in In
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	out, err := t.Run(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
