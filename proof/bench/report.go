package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"syscall"
	"time"
)

// report prints measurements.
type report struct{ out io.Writer }

// figure is one line. Goal is "" for a figure without a goal.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Goal  string  `json:"goal"`
	OK    bool    `json:"ok"`
}

func (r *report) print(f figure) error {
	f.Value = math.Round(f.Value*1000) / 1000
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "%s\n", b)
	return err
}

// tell prints a figure without a goal.
func (r *report) tell(name string, value float64, unit string) error {
	return r.print(figure{Name: name, Value: value, Unit: unit, OK: true})
}

func (r *report) atLeast(name string, value float64, unit string, goal float64) error {
	return r.print(figure{name, value, unit, fmt.Sprintf(">= %g", goal), value >= goal})
}

func (r *report) below(name string, value float64, unit string, goal float64) error {
	return r.print(figure{name, value, unit, fmt.Sprintf("< %g", goal), value < goal})
}

// usage is what this process has used so far.
type usage struct {
	cpu  time.Duration // user and system
	user time.Duration
	peak float64 // MB resident at the most
}

func used() (usage, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return usage{}, err
	}
	user, system := time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
	return usage{user + system, user, float64(u.Maxrss) / 1024}, nil
}
