package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// strip takes one thing after the other out of the template, and wants the story to miss it: a permission, a variable, an event source.
func (p plan) strip(ctx context.Context) error {
	p.weather = weather{}
	var wrong []error
	for _, c := range []struct {
		what string
		take func(t *template) error
	}{
		{"ingest's permission to store terms", func(t *template) error {
			return dropStatement(t, "IngestRole", "StoreTerms")
		}},
		{"poll's variable QUEUE_BLOBS", func(t *template) error {
			return drop(t, "QUEUE_BLOBS", "PollFunction", "Environment", "Variables")
		}},
		{"consent's route GET /consent/callback", func(t *template) error { return drop(t, "Callback", "ConsentFunction", "Events") }},
		{"enrich's queue", func(t *template) error { return drop(t, "Messages", "EnrichFunction", "Events") }},
		{"ingest's queue", func(t *template) error { return drop(t, "Blobs", "IngestFunction", "Events") }},
	} {
		less, err := p.template.clone()
		if err == nil {
			err = c.take(less)
		}
		if err != nil {
			return fmt.Errorf("take %s out of the template: %w", c.what, err)
		}
		q := p
		q.template, q.stack = less, fmt.Sprintf("story-%d-less", time.Now().UnixNano())
		err = q.fails(ctx)
		if err == nil {
			wrong = append(wrong, fmt.Errorf("without %s the story is told all the same", c.what))
			continue
		}
		say("without %s: %.160s", c.what, err)
	}
	return errors.Join(wrong...)
}

// fails tells the story with little patience, and returns why it came to no end.
func (p plan) fails(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 15*time.Second, errors.New("the story came to no end"))
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
	stop()
	if struck := s.strike(context.WithoutCancel(ctx)); struck != nil {
		return errors.Join(err, struck)
	}
	return err
}

// deniedNow is what the template does not allow, and was asked for.
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
