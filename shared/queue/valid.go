package queue

import "fmt"

// Valid is nil when a queue can take the message, and ErrInvalid otherwise. Every adapter calls it before it sends.
func (m Message) Valid() error {
	if len(m.Body) == 0 || len(m.Body) > MaxBody {
		return fmt.Errorf("%w: a body of %d bytes, 1 to %d are allowed", ErrInvalid, len(m.Body), MaxBody)
	}
	if len(m.Group) > MaxGroup {
		return fmt.Errorf("%w: a group of %d bytes, %d are allowed", ErrInvalid, len(m.Group), MaxGroup)
	}
	for i := range len(m.Group) {
		if m.Group[i] <= ' ' || m.Group[i] > '~' {
			return fmt.Errorf("%w: group %q has a character that is not printable ASCII", ErrInvalid, m.Group)
		}
	}
	if m.Delay < 0 || m.Delay > MaxDelay {
		return fmt.Errorf("%w: a delay of %s, up to %s are allowed", ErrInvalid, m.Delay, MaxDelay)
	}
	return nil
}
