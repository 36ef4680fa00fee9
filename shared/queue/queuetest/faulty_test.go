package queuetest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/queue/queuetest"
)

type counting struct{ sent int }

func (c *counting) Send(_ context.Context, messages ...queue.Message) error {
	c.sent += len(messages)
	return nil
}

func TestFaulty(t *testing.T) {
	fault := errors.New("fault")
	second := func(n int) error {
		if n == 2 {
			return fault
		}
		return nil
	}
	for _, test := range []struct {
		name          string
		before, after func(n int) error
		sent          int
	}{
		{"before", second, nil, 2},
		{"after", nil, second, 3},
		{"never", nil, nil, 3},
	} {
		inner := &counting{}
		faulty := &queuetest.Faulty{Sender: inner, Before: test.before, After: test.after}
		for n := 1; n <= 3; n++ {
			err := faulty.Send(t.Context(), queue.Message{})
			if failed := err != nil; failed != (n == 2 && test.name != "never") {
				t.Errorf("%s: send %d: %v", test.name, n, err)
			}
		}
		if inner.sent != test.sent {
			t.Errorf("%s: %d messages were sent, want %d", test.name, inner.sent, test.sent)
		}
	}
}
