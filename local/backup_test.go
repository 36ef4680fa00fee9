package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestABackupThatIsMadeUnderLoadIsWhole backs up a Mailtrail that is ingesting in another process, kills it, and
// restores: the restored folder runs to the end, with nothing lost and nothing twice, and its ledger adds up.
func TestABackupThatIsMadeUnderLoadIsWhole(t *testing.T) {
	t.Parallel()
	const sends = 20_000
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "export.ndjson")
	want := export(t, file, sends)
	c := startChild(t, data, file)
	if !c.until("msg=polled") {
		t.Fatal("the child ended before it had polled")
	}
	go c.until("\x00") // nobody else empties the pipe
	live := &site{t: t, data: data, env: "DATA=" + data}
	saved := filepath.Join(dir, "saved")
	// Blobs have been queued; wait until some are settled, so that the backup has both.
	for deadline := time.Now().Add(time.Minute); strings.Contains(live.does(0, "verify"), " = 0 settled"); {
		if time.Now().After(deadline) {
			t.Fatal("nothing is settled within a minute")
		}
	}
	live.says(live.does(0, "backup", saved), "Backed up ", "to "+saved)
	if _, err := os.Stat(filepath.Join(data, runFile)); err == nil {
		t.Fatal("the import had ended before the backup: nothing is shown by this test")
	}
	live.says(live.does(1, "restore", saved), "nothing was restored: folder "+data+" holds data")
	c.kill(t)

	s := &site{t: t, data: filepath.Join(dir, "restored")}
	s.env = "ADDR=127.0.0.1:0 DATA=" + s.data + " RECORDS=" + file
	s.says(s.does(0, "restore", saved), "Restored ", "to "+s.data+", as of ")
	said := s.does(0, "verify")
	s.says(said, "It adds up.")
	if strings.Contains(said, " 0 open") {
		t.Errorf("nothing was open in the backup: %s", said)
	}
	told := s.start()
	if r := told.Records; r.Messages != sends || r.Events != sends || r.Sends != int64(sends+sends/20) ||
		r.Unreadable != 0 {
		t.Errorf("the summary says %+v, want %d messages", *r, sends)
	}
	s.says(s.does(0, "verify"), " 0 open + 0 lost; 20000 events.\n  It adds up.")
	got, ids := map[string]int{}, map[string]bool{}
	for _, e := range askAll(t, told) {
		got[e.File.Name]++
		ids[e.Event.ID] = true
	}
	if len(ids) != sends {
		t.Errorf("%d events found, want %d", len(ids), sends)
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s was sent %d times and found %d times", name, n, got[name])
		}
	}
}

// TestABackupRestoresTheFirstClient, whether Mailtrail ran when it was made or not.
func TestABackupRestoresTheFirstClient(t *testing.T) {
	twice(t, func(t *testing.T, s *site) {
		saved := filepath.Join(t.TempDir(), "saved")
		s.says(s.does(0, "backup", saved), "Backed up ")
		s.stop()
		told := running(t, filepath.Join(s.data, runFile))
		s.says(s.does(1, "backup", saved), "nothing was backed up: the folder is not empty: "+saved)
		for _, name := range []string{runFile, "run", "log", "spool"} {
			if _, err := os.Stat(filepath.Join(saved, name)); err == nil {
				t.Errorf("the backup has %s", name)
			}
		}

		other := &site{t: t, data: filepath.Join(t.TempDir(), "other")}
		other.env = strings.ReplaceAll(s.env, "DATA="+s.data, "DATA="+other.data)
		other.does(0, "restore", saved)
		if again := other.start(); again.ClientID != told.ClientID || again.ClientSecret != told.ClientSecret ||
			again.Records.Events != 10 {
			t.Errorf("the restored folder has client %s and %+v", again.ClientID, again.Records)
		}
		other.says(other.does(1, "restore", saved), "nothing was restored: folder "+other.data+" holds data")
	})
}

// TestWhatIsNoWholeBackupIsNotRestored damages a backup in all ways in which copies are cut off.
func TestWhatIsNoWholeBackupIsNotRestored(t *testing.T) {
	s := newSite(t)
	s.start()
	s.stop()
	dir := t.TempDir()
	for name, test := range map[string]struct {
		damage func(saved string) error
		want   string
	}{
		"no manifest":         {without("backup.json"), "is no backup, or one that was cut off"},
		"a manifest cut off":  {cut("backup.json"), "backup.json is damaged"},
		"a file missing":      {without(clientFile), "the backup is not whole"},
		"a file cut off":      {cut("simulated.json"), "simulated.json has 1 bytes"},
		"another form":        {manifest(`{"form":9}`), "another version of Mailtrail"},
		"a file from outside": {manifest(`{"form":1,"files":[{"name":"store/../../x","bytes":1}]}`), `names a file "store/../../x"`},
		"no files":            {manifest(`{"form":1,"files":[]}`), "it has no store"},
	} {
		saved, data := filepath.Join(dir, "saved "+name), filepath.Join(dir, "data "+name)
		s.does(0, "backup", saved)
		if err := test.damage(saved); err != nil {
			t.Fatal(err)
		}
		s.says(s.does(1, "restore", saved, "--data", data), "nothing was restored: ", test.want)
		if left, err := filepath.Glob(data + "*"); err != nil || len(left) > 0 {
			t.Errorf("%s: it leaves %v", name, left)
		}
	}
}

func without(name string) func(string) error {
	return func(saved string) error { return os.Remove(filepath.Join(saved, name)) }
}

func cut(name string) func(string) error {
	return func(saved string) error { return os.Truncate(filepath.Join(saved, name), 1) }
}

func manifest(text string) func(string) error {
	return func(saved string) error {
		return os.WriteFile(filepath.Join(saved, "backup.json"), []byte(text), 0o600)
	}
}

// TestARestoreThatWasCutOffIsNotTakenForData: what it left is named, and not touched.
func TestARestoreThatWasCutOffIsNotTakenForData(t *testing.T) {
	s := newSite(t)
	s.start()
	s.stop()
	saved, data := filepath.Join(t.TempDir(), "saved"), filepath.Join(t.TempDir(), "data")
	s.does(0, "backup", saved)
	if err := os.Mkdir(data+".restoring", 0o700); err != nil {
		t.Fatal(err)
	}
	s.says(s.does(1, "restore", saved, "--data", data), data+".restoring exists")
	if err := os.Remove(data + ".restoring"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil { // empty, as one that somebody made for it
		t.Fatal(err)
	}
	s.does(0, "restore", saved, "--data", data)
	s.says(s.does(0, "verify", "--data", data), "It adds up.")
}
