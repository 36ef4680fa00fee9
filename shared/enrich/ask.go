package enrich

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/queue"
)

const (
	quickTries   = 3                     // of a call that broke off or failed without a Retry-After
	shortPause   = 20 * time.Millisecond // between them, and twice and three times that
	patientTries = 5                     // of a call of the last attempt
	longestWait  = 30 * time.Second      // of the last attempt, before it asks once more
	allWaits     = time.Minute           // of the last attempt in sum
	firstDelay   = 2 * time.Second       // until a message comes back for which a call failed
	firstLook    = 15 * time.Second      // until a message is looked for again that was in no mailbox
	longestDelay = 5 * time.Minute       // until a message comes back, unless Microsoft asked for more
	turnTime     = time.Second           // a worker waits so long for a tenant's place, and then takes another message
	turnDelay    = 15 * time.Second      // and the message comes back after that
	againDelay   = 5 * time.Minute       // the same for a message that is looked for again, of which there may be many
)

// ask makes one call in a mailbox ("" for what a tenant has beside them), within the mailbox's bound. What
// broke off is tried again here; what Microsoft asks to wait for goes back to the queue, and meanwhile nobody
// else asks this mailbox. The last attempt waits here too.
func (a *Agent) ask(ctx context.Context, t task, mailbox string, call func(context.Context) error) error {
	tries := quickTries
	if t.last {
		tries = patientTries
	}
	for try := 1; ; try++ {
		err := a.boxes.in(ctx, boxKey{t.tenant, forensic.Normal(mailbox)}, call)
		if err == nil || try == tries || !again(err) || ctx.Err() != nil {
			return err
		}
		wait := fault.Wait(err)
		if !t.last && wait > 0 {
			return err
		}
		wait = min(longestWait, max(wait, time.Duration(try)*shortPause))
		if t.last && !t.waits.spend(wait) {
			return err
		}
		if err := pace.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// budget is a sum of time that is spent bit by bit.
type budget struct {
	mu   sync.Mutex
	left time.Duration
}

// spend takes a wait out of the budget, when there is enough left.
func (b *budget) spend(d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d > b.left {
		return false
	}
	b.left -= d
	return true
}

// again reports whether the same call may succeed a moment later. An error without a kind is one of those.
func again(err error) bool {
	return !errors.Is(err, fault.Refused) && !errors.Is(err, fault.Poison) && !errors.Is(err, fault.Ours) &&
		!errors.Is(err, errTooLarge)
}

// later sends the message back to the queue until it is as old again as it is now, but not beyond the deadline,
// and not before Microsoft wants to be asked again. Messages of one age do not come back in one moment.
func (a *Agent) later(t task, err error) error {
	delay := firstDelay
	if errors.Is(err, errAbsent) {
		delay = firstLook
	}
	delay = min(max(delay, t.age), longestDelay)
	h := fnv.New32a()
	h.Write([]byte(t.message.Record)) // a hash.Hash never fails to write
	delay += delay / 8 * time.Duration(h.Sum32()%256) / 256
	delay = min(delay, max(a.config.Deadline-t.age, time.Second))
	delay = min(max(delay, fault.Wait(err)), queue.MaxDelay)
	return &fault.Error{Kind: fault.Retry, Code: fault.Code(err), After: delay, Err: fmt.Errorf("enrich message %s: %w",
		t.message.Record, err)}
}

// places bounds how many messages are worked on at a time, and leaves a quarter of the places to other tenants
// than the busiest: a backlog of one, or its slow mailboxes, delays no other by more than turnTime.
type places struct {
	all   chan struct{}
	share int

	mu      sync.Mutex
	tenants map[connection.Tenant]*share
}

// share is what one tenant has of the places.
type share struct {
	slots chan struct{}
	users int // in a slot, or waiting for one
}

func (p *places) open(n int) {
	p.all, p.share = make(chan struct{}, n), max(1, n-n/4)
	p.tenants = make(map[connection.Tenant]*share)
}

// enter takes a place, to be left by the function that it returns. When the tenant has its share for longer
// than turnTime, the error is of kind Retry.
func (p *places) enter(ctx context.Context, t connection.Tenant) (leave func(), err error) {
	own := p.of(t)
	clock := time.NewTimer(turnTime)
	defer clock.Stop()
	select {
	case own.slots <- struct{}{}:
	case <-ctx.Done():
		p.drop(t, own)
		return nil, ctx.Err()
	case <-clock.C:
		p.drop(t, own)
		return nil, busy("the tenant has as many messages in work as its share allows", turnDelay)
	}
	select {
	case p.all <- struct{}{}:
		return func() { <-p.all; <-own.slots; p.drop(t, own) }, nil
	case <-ctx.Done():
		<-own.slots
		p.drop(t, own)
		return nil, ctx.Err()
	}
}

// busy sends a message back to the queue for a while, because others have all the places that it may take.
func busy(why string, wait time.Duration) error {
	return &fault.Error{Kind: fault.Retry, After: wait, Err: errors.New(why)}
}

// errResting says that a mailbox was not asked, because Microsoft wants it left alone for a while.
var errResting = errors.New("the mailbox is to be left alone for a while")

func (p *places) of(t connection.Tenant) *share {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.tenants[t]
	if s == nil {
		s = &share{slots: make(chan struct{}, p.share)}
		p.tenants[t] = s
	}
	s.users++
	return s
}

func (p *places) drop(t connection.Tenant, s *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(p.tenants, t)
	}
}

// boxKey names a mailbox; with mailbox "" it is what a tenant has beside them.
type boxKey struct {
	tenant  connection.Tenant
	mailbox string
}

// boxes bounds the calls at a time in each mailbox, and keeps everybody out of one while Microsoft wants it
// left alone. Only mailboxes in use, or to be left alone, are remembered.
type boxes struct {
	slots int
	now   func() time.Time

	mu  sync.Mutex
	all map[boxKey]*box
}

type box struct {
	slots chan struct{}
	users int       // in a slot, or waiting for one
	until time.Time // left alone until then
}

// maxResting bounds the mailboxes that are remembered only because they are to be left alone; beyond it they
// are asked, and say so again.
const maxResting = 10_000

func (b *boxes) open(slots int, now func() time.Time) {
	b.slots, b.now, b.all = slots, now, make(map[boxKey]*box)
}

// in makes the call when it is the mailbox's turn.
func (b *boxes) in(ctx context.Context, key boxKey, call func(context.Context) error) error {
	one := b.of(key)
	defer b.drop(key, one)
	select {
	case one.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-one.slots }()
	if rest := b.rest(one); rest > 0 {
		return &fault.Error{Kind: fault.Retry, After: rest, Err: errResting}
	}
	err := call(ctx)
	if wait := fault.Wait(err); wait > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		if until := b.now().Add(wait); until.After(one.until) { // Microsoft may have asked another call to wait longer
			one.until = until
		}
	}
	return err
}

func (b *boxes) rest(one *box) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return one.until.Sub(b.now())
}

func (b *boxes) of(key boxKey) *box {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.all[key]
	if one == nil {
		one = &box{slots: make(chan struct{}, b.slots)}
		b.all[key] = one
	}
	one.users++
	return one
}

func (b *boxes) drop(key boxKey, one *box) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one.users--; one.users > 0 {
		return
	}
	if !b.now().Before(one.until) || len(b.all) > maxResting {
		delete(b.all, key)
	}
}
