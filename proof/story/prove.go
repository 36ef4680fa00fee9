package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// prove runs the story on a fine day and on a bad one, which share nothing but the engines, and compares what was done
// with the template.
func prove(ctx context.Context, p plan) error {
	begins, err := issueCertificate()
	if err != nil {
		return err
	}
	fine, bad := p.with(begins), p
	fine.stack, bad.stack = fmt.Sprintf("story-%d-fine", time.Now().UnixNano()), fmt.Sprintf("story-%d-bad",
		time.Now().UnixNano())
	bad.weather = storm()
	bad.domain, bad.parameters = "mailtrail.example.com", values{"BaseUrl": "https://mailtrail.example.com"}
	var (
		both                  sync.WaitGroup
		onFine, onBad         map[act]int
		failedFine, failedBad error
	)
	both.Go(func() { onFine, failedFine = fine.once(ctx) })
	both.Go(func() { onBad, failedBad = bad.once(ctx) })
	both.Wait()
	if failedFine != nil {
		failedFine = fmt.Errorf("on a fine day: %w", failedFine)
	}
	if failedBad != nil {
		failedBad = fmt.Errorf("in bad weather: %w", failedBad)
	}
	if err := errors.Join(failedFine, failedBad); err != nil {
		return err
	}
	acts := maps.Clone(onFine)
	for a, n := range onBad {
		acts[a] += n
	}
	return errors.Join(measure(p.template, acts), p.strip(ctx))
}

// with returns the plan with another first credential.
func (p plan) with(c issued) plan {
	p.credential = c
	return p
}

// storm is the worst weather that the story runs in.
func storm() weather {
	const ingest, enrich, search = "IngestFunction", "EnrichFunction", "SearchFunction"
	return weather{
		throttled: 0.03, broken: 0.01, lost: 0.01, twice: 0.3, shuffled: true, turnedAway: 3, limit: 8 * time.Second,
		outage: true,
		endings: []ending{
			killed(ingest, 5), killed(ingest, 40), broken(ingest, 65), killed(ingest, 90), killed(ingest, 150),
			killed(ingest, 190),
			frozen(ingest, 220), // the last one, or the next would end it before its time
			killed(enrich, 7), broken(enrich, 30), killed(enrich, 60),
			broken(search, 3), frozen(search, 5),
		},
	}
}

// once raises a stage, runs the story on it, and strikes it. It returns what the roles did.
func (p plan) once(ctx context.Context) (acts map[act]int, err error) {
	begun := time.Now()
	stage, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := raise(stage, p)
	defer func() {
		cancel()
		err = errors.Join(err, s.strike(ctx))
	}()
	if err != nil {
		return nil, err
	}
	say("%s: deployed %d tables, %d queues and %d functions from the template", p.stack,
		len(p.template.named(typeTable)), len(p.template.named(typeQueue)), len(s.functions))
	t, err := s.tell(stage)
	if err != nil {
		return nil, err
	}
	c, err := t.connection(stage)
	if err != nil {
		return nil, err
	}
	say("%s: %d blobs were listed and settled, and search found %d attachments, each once, as it was sent, to whom, "+
		"and with its hash, in %.1f s",
		p.stack, c.Ledger.Settled, total(t.truth), time.Since(begun).Seconds())
	if left := s.reaper.left; len(left) > 0 {
		return nil, fmt.Errorf("these processes lived on: %v", left)
	}
	for _, e := range p.weather.endings {
		if s.record.mishap[e.function+" failed: "+e.kind] == 0 {
			return nil, fmt.Errorf("%s was %s, and Lambda knows of no %s", e.function, e.how, e.kind)
		}
	}
	for queue, missed := range s.missed {
		if ticks, err := s.waiting(ctx, queue); err != nil || ticks != strconv.Itoa(missed) {
			return nil, fmt.Errorf("%d ticks were missed, and %s are in %s (%v)", missed, ticks, queue, err)
		}
	}
	if len(p.weather.endings) > 0 && !strings.Contains(s.log.String(), `"trace":"`) {
		return nil, errors.New("no function says which tick its work began with")
	}
	say("%s: the application proved itself by %s, and then by another certificate, with nothing restarted (%d "+
		"readings of it)",
		p.stack, p.credential, s.keeper.since())
	say("%s: %d calls to AWS, all allowed; %s", p.stack, s.record.calls, mishaps(s.record.mishap))
	return s.record.acts, nil
}

func mishaps(all map[string]int) string {
	if len(all) == 0 {
		return "no mishaps"
	}
	var words []string
	for _, what := range slices.Sorted(maps.Keys(all)) {
		words = append(words, fmt.Sprintf("%s %d", what, all[what]))
	}
	return "mishaps: " + strings.Join(words, ", ")
}

// measure compares the template's roles with what was done: everything that is allowed is needed, and removing it is
// noticed.
func measure(t *template, acts map[act]int) error {
	all, err := readPolicy(t)
	if err != nil {
		return err
	}
	reasons := map[string]int{}
	var wrong []error
	for _, a := range all.unused(acts) {
		if why := excuses()[a]; why != "" {
			reasons[why]++
			continue
		}
		wrong = append(wrong, fmt.Errorf("allowed, and never used: %s (statement %s)", a, all[a]))
	}
	for a := range all {
		if missed := all.without(a).denied(acts); acts[a] > 0 && len(missed) != 1 {
			wrong = append(wrong, fmt.Errorf("without %s nothing is missed", a))
		}
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	say("policy: the template allows %d acts (action on resource, by role): %d were used, and without any one of "+
		"them the story is denied",
		len(all), len(acts))
	for _, why := range slices.Sorted(maps.Keys(reasons)) {
		say("policy: %d acts were not used: %s", reasons[why], why)
	}
	return nil
}
