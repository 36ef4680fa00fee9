package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// watched is an environment that ends the run as soon as its data folder holds a file.
func watched(t *testing.T, env, file string) (context.Context, *atomic.Bool) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	seen := new(atomic.Bool)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for name := filepath.Join(data(env), file); ctx.Err() == nil; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(name); err == nil {
				seen.Store(true)
				end()
			}
		}
	}()
	t.Cleanup(func() { end(); <-done })
	return ctx, seen
}

// serve runs `mailtrail serve` in an environment.
func serve(ctx context.Context, env string, out, errs io.Writer) error {
	p := program{environ: strings.Fields(env), out: out, errs: errs}
	return p.serve(ctx)
}

// TestARunThatIsInterruptedEndsWell interrupts while the export is still being spooled, and when the summary stands.
func TestARunThatIsInterruptedEndsWell(t *testing.T) {
	for _, at := range []string{"spool/000000.json", runFile} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "export.ndjson")
			export(t, file, 2000)
			env := "ADDR=127.0.0.1:0 DATA=" + filepath.Join(dir, "data") + " RECORDS=" + file
			ctx, seen := watched(t, env, at)
			var out, errs bytes.Buffer
			if err := serve(ctx, env, &out, &errs); err != nil || !seen.Load() {
				t.Errorf("interrupted %t, ended with %v; log:\n%s", seen.Load(), err, errs.String())
			}
		})
	}
}

// TestAFolderThatWasLeftAloneForWeeksStartsAtOnce: the company's past since then is not made again mail by mail.
func TestAFolderThatWasLeftAloneForWeeksStartsAtOnce(t *testing.T) {
	dir := t.TempDir()
	begun(t, dir, time.Now().Add(-40*24*time.Hour))
	env := "ADDR=127.0.0.1:0 DATA=" + dir
	ctx, seen := watched(t, env, runFile)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute) // far less than 40 days take
	defer cancel()
	var out, errs bytes.Buffer
	if err := serve(ctx, env, &out, &errs); err != nil || !seen.Load() {
		t.Errorf("ready %t, ended with %v; log:\n%s", seen.Load(), err, errs.String())
	}
}

// TestASecondMailtrailInTheSameFolderSaysSo is what somebody sees who starts it twice.
func TestASecondMailtrailInTheSameFolderSaysSo(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "export.ndjson"), filepath.Join(dir, "data")
	export(t, file, 10)
	first := startChild(t, data, file)
	defer first.kill(t)
	go first.until("\x00") // nobody else empties the pipe
	waitForSummary(t, filepath.Join(data, runFile))
	var out, errs bytes.Buffer
	err := serve(t.Context(), "ADDR=127.0.0.1:0 DATA="+data+" RECORDS="+file, &out, &errs)
	if err == nil || !strings.Contains(err.Error(), "folder "+data+" is in use") {
		t.Errorf("the second one ends with %v", err)
	}
}

// TestBadExportsAreRefusedByName has files from which nothing can be read.
func TestBadExportsAreRefusedByName(t *testing.T) {
	dir := t.TempDir()
	table := filepath.Join(dir, "table.csv")
	if err := os.WriteFile(table, []byte("RecordId,CreationDate\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{table: "no column AuditData", filepath.Join(dir, "missing.csv"): "no such file", dir: "is a directory"} {
		var out, errs bytes.Buffer
		err := serve(t.Context(), "ADDR=127.0.0.1:0 DATA="+filepath.Join(t.TempDir(), "data")+" RECORDS="+file, &out, &errs)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: ended with %v, want an error that says %q and names the file", file, err, want)
		}
	}
}

// data is the data folder of an environment.
func data(env string) string {
	for pair := range strings.FieldsSeq(env) {
		if folder, ok := strings.CutPrefix(pair, "DATA="); ok {
			return folder
		}
	}
	return ""
}
