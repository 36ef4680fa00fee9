package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestALossIsMissedForItsOwnReason(t *testing.T) {
	l := loss{what: "x", says: "messages wait in Work"}
	for text, says := range map[string]string{
		"":                         "told all the same",
		"the story came to no end": "fails for another reason",
		"came to no end\n84 messages wait in Work": "",
	} {
		var failed error
		if text != "" {
			failed = errors.New(text)
		}
		err := l.missed(failed)
		if (err != nil) != (says != "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhatIsLostIsInTheTemplate(t *testing.T) {
	whole, err := readTemplate(filepath.Join("..", "..", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range losses() {
		less, err := whole.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.take(less); err != nil {
			t.Errorf("%s: %v", l.what, err)
		}
	}
}

func TestQueuesThatNobodyTakesFromAreNamed(t *testing.T) {
	s := staged(t, &queues{}, parsed(t, small))
	s.known["Work"], s.known["Dead"] = s.known["Work"]+"?waiting=3", s.known["Dead"]+"?waiting=0"
	if err := s.unread(t.Context()); err == nil || err.Error() != "3 messages wait in Work" {
		t.Errorf("%v", err)
	}
}
