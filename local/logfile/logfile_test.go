package logfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mailtrail/mailtrail/local/logfile"
)

// TestALogIsBounded writes far more than it holds, from many goroutines and over a restart: the newest lines are there,
// whole and in order of the files, and nothing takes more than it may.
func TestALogIsBounded(t *testing.T) {
	const max, keep, lines = 1000, 2, 500
	name := filepath.Join(t.TempDir(), "log", "mailtrail.log")
	for run := range 2 {
		l, err := logfile.Open(name, max, keep)
		if err != nil {
			t.Fatal(err)
		}
		var writers sync.WaitGroup
		for range 5 {
			writers.Go(func() {
				for range lines / 5 {
					if _, err := fmt.Fprintf(l, "run %d says a line\n", run); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(name + "*")
	if err != nil || len(files) != keep+1 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > max || len(text) == 0 || strings.ReplaceAll(string(text), "run 1 says a line\n", "") != "" {
			t.Errorf("%s has %d bytes: %.60s", file, len(text), text)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

// TestALineLongerThanALogIsWritten, in a file of its own.
func TestALineLongerThanALogIsWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l, err := logfile.Open(name, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"short\n", "longer than ten\n"} {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%q: %d, %v", line, n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(name); string(text) != "longer than ten\n" || err != nil {
		t.Errorf("the log: %q, %v", text, err)
	}
}
