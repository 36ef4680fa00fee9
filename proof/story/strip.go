package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// loss is one thing that is removed from the template, and how the story reports that it is missing.
type loss struct {
	what string
	take func(t *template) error
	says string
}

func losses() []loss {
	return []loss{
		{
			"ingest's permission to store terms", func(t *template) error {
				return dropStatement(t, "IngestRole",
					"StoreTerms")
			},
			"not allowed by the template: [IngestRole dynamodb:BatchWriteItem EventsTable]",
		},
		{
			"poll's variable QUEUE_BLOBS", func(t *template) error {
				return drop(t, "QUEUE_BLOBS", "PollFunction",
					"Environment", "Variables")
			},
			"QUEUE_BLOBS is missing",
		},
		{
			"consent's route GET /consent/callback", func(t *template) error {
				return drop(t, "Callback", "ConsentFunction",
					"Events")
			},
			"the consent ends with status 404",
		},
		{
			"ingest's queue", func(t *template) error { return drop(t, "Blobs", "IngestFunction", "Events") },
			"messages wait in BlobQueue",
		},
		{
			"enrich's queue", func(t *template) error { return drop(t, "Messages", "EnrichFunction", "Events") },
			"messages wait in MessageQueue",
		},
	}
}

// strip removes one thing after the other from the template, and requires the story to fail for just that. The stories
// share nothing but the engines.
func (p plan) strip(ctx context.Context) error {
	all := losses()
	wrong := make([]error, len(all))
	var told sync.WaitGroup
	for i, l := range all {
		less, err := p.template.clone()
		if err == nil {
			err = l.take(less)
		}
		if err != nil {
			return fmt.Errorf("take %s out of the template: %w", l.what, err)
		}
		q := p
		q.template, q.stack, q.weather = less, fmt.Sprintf("story-%d-less-%d", time.Now().UnixNano(), i), weather{}
		told.Go(func() { wrong[i] = l.missed(q.fails(ctx)) })
	}
	told.Wait()
	return errors.Join(wrong...)
}

// missed checks that a story failed for the right reason, and prints the line that says so.
func (l loss) missed(err error) error {
	if err == nil {
		return fmt.Errorf("without %s the story is told all the same", l.what)
	}
	for line := range strings.Lines(err.Error()) {
		if at := strings.Index(line, l.says); at >= 0 {
			say("without %s: %.160s", l.what, strings.TrimSpace(line[at:]))
			return nil
		}
	}
	return fmt.Errorf("without %s the story should say %q, and fails for another reason: %w", l.what, l.says, err)
}

// fails runs the story with little patience, and returns why it did not end, and which messages nobody receives.
func (p plan) fails(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("the story came to no end"))
	defer cancel()
	stage, stop := context.WithCancel(ctx)
	defer stop()
	s, err := raise(stage, p)
	if err == nil {
		_, err = s.tell(stage)
	}
	if denied := s.deniedNow(); denied != nil {
		err = denied
	}
	end := context.WithoutCancel(ctx)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(err, s.unread(end))
	}
	stop()
	return errors.Join(err, s.strike(end))
}

// unread names the queues whose messages nobody has received.
func (s *stage) unread(ctx context.Context) error {
	var all []error
	for _, id := range s.template.named(typeQueue) {
		waiting, err := s.waiting(ctx, id)
		if err == nil && waiting != "0" {
			err = fmt.Errorf("%s messages wait in %s", waiting, id)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// deniedNow returns the acts that the template denied.
func (s *stage) deniedNow() error {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	if denied := s.policy.denied(s.record.acts); len(denied) > 0 {
		return fmt.Errorf("not allowed by the template: %v", denied)
	}
	return nil
}

// drop deletes a name from a map of the template.
func drop(t *template, name, resource string, path ...string) error {
	m, ok := at(t.Resources[resource].Properties, path...).(map[string]any)
	if !ok || m[name] == nil {
		return fmt.Errorf("there is no %s in %s", name, resource)
	}
	delete(m, name)
	return nil
}

func dropStatement(t *template, role, sid string) error {
	for _, p := range list(t.Resources[role].Properties["Policies"]) {
		document, ok := at(p, "PolicyDocument").(map[string]any)
		if !ok {
			continue
		}
		all := list(document["Statement"])
		for i, statement := range all {
			if at(statement, "Sid") == sid {
				document["Statement"] = append(all[:i:i], all[i+1:]...)
				return nil
			}
		}
	}
	return fmt.Errorf("there is no statement %s in %s", sid, role)
}
