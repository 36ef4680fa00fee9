package trigger

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"
)

// Schedule runs what a schedule of EventBridge Scheduler (ScheduleV2 in SAM) starts. The schedule's input is
//
//	{"time": "<aws.scheduler.scheduled-time>", "shard": 0, "shards": 1}
//
// EventBridge fills in the time of the tick (RFC 3339), so that a tick which comes late, or twice, still has its own
// time. Each shard has a schedule of its own. An error makes the invocation fail.
type Schedule struct {
	// Tick does what is due at a time, for one shard. Its context ends a little before the function's time does.
	Tick func(ctx context.Context, at time.Time, s Shard) error
	Log  *slog.Logger
}

// Shard is one of several equal parts of all work: number Index, from 0, of Of.
type Shard struct{ Index, Of int }

// Holds reports whether key belongs to this shard. Exactly one of the Of shards holds a key.
func (s Shard) Holds(key string) bool {
	h := fnv.New32a()
	h.Write([]byte(key))
	return int(h.Sum32()%uint32(s.Of)) == s.Index
}

// Attrs returns the shard's attributes for a log line.
func (s Shard) Attrs() []any { return []any{"shard", s.Index, "shards", s.Of} }

const (
	maxShards    = 1000
	wantSchedule = `ticks of EventBridge Scheduler with the input {"time","shard","shards"}`
)

// Invoke runs one tick.
func (t *Schedule) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	at, shard, err := tick(event)
	if err != nil {
		return nil, errors.Join(refuse(ctx, t.Log, event, wantSchedule), err)
	}
	work, cancel := early(ctx)
	defer cancel()
	if err := t.Tick(work, at, shard); err != nil {
		t.Log.ErrorContext(ctx, "tick failed", "at", at, "shard", shard.Index, "shards", shard.Of, "err", err)
		return nil, err
	}
	return []byte("null"), nil
}

func tick(event []byte) (time.Time, Shard, error) {
	var in struct {
		Time   *time.Time `json:"time"`
		Shard  *int       `json:"shard"`
		Shards *int       `json:"shards"`
	}
	if err := strict(event, &in); err != nil {
		return time.Time{}, Shard{}, fmt.Errorf("read the tick: %w", err)
	}
	if in.Time == nil || in.Shard == nil || in.Shards == nil {
		return time.Time{}, Shard{}, errors.New("read the tick: time, shard or shards is missing")
	}
	if *in.Shards < 1 || *in.Shards > maxShards || *in.Shard < 0 || *in.Shard >= *in.Shards {
		return time.Time{}, Shard{}, fmt.Errorf("read the tick: there is no shard %d of %d", *in.Shard, *in.Shards)
	}
	return *in.Time, Shard{Index: *in.Shard, Of: *in.Shards}, nil
}
