package table

import (
	"fmt"
	"time"
)

// TimeLayout is how items and keys write a time: UTC in whole milliseconds. Texts of equal length sort as the times do.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Stamp is a time as items hold it; the zero time is "".
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(TimeLayout)
}

// ParseTime reads an attribute that Stamp wrote, and any other time of RFC 3339, since older items have more digits. An
// attribute that is absent or empty is the zero time.
func ParseTime(attr any) (time.Time, error) {
	s, ok := attr.(string)
	if attr == nil || ok && s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("attribute of type %T holds no time", attr)
	}
	return t.UTC(), nil
}

// TimeOf is ParseTime for a reader to whom an unreadable time is the same as none.
func TimeOf(attr any) time.Time {
	t, _ := ParseTime(attr)
	return t
}
