package embedded_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mailtrail/mailtrail/shared/embedded"
)

// breakSeed is where the moments of the breaks come from: set BREAK_SEED to try others.
func breakSeed(t *testing.T) uint64 {
	seed, err := strconv.ParseUint(os.Getenv("BREAK_SEED"), 10, 64)
	if err != nil {
		seed = 1
	}
	t.Logf("BREAK_SEED=%d", seed)
	return seed
}

// writeUntilKilled is the child: it works on a folder, and says what was confirmed on its standard output.
func writeUntilKilled(args string) {
	first, dir, _ := strings.Cut(args, " ")
	round, err := strconv.Atoi(first)
	if err != nil {
		panic(err)
	}
	s, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	panic(work(s, round, func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(line)
	}))
}

// TestKill kills a process that writes, again and again, on one folder: what was confirmed is there, and what was not
// is there whole or not at all.
func TestKill(t *testing.T) {
	random := rand.New(rand.NewPCG(breakSeed(t), 0))
	dir := t.TempDir()
	var lines []string
	for round := range 16 {
		cmd, out := child(t, "write", fmt.Sprint(round, " ", dir))
		for n := 1 + random.IntN(700); n > 0 && out.Scan(); n-- {
			lines = append(lines, out.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, rest(out)...)
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("round %d: the child ended by itself: %v", round, err)
		}
		s := open(t, dir, embedded.Options{})
		told := listen(lines)
		verify(t, s, told, told)
		shut(t, s)
		if t.Failed() {
			t.Fatalf("after kill %d", round)
		}
	}
	t.Logf("%d confirmations", len(lines))
}

// rest returns the whole lines that the child wrote before it was killed.
func rest(out *bufio.Scanner) (lines []string) {
	for out.Scan() {
		lines = append(lines, out.Text())
	}
	return lines
}

// TestPowerCut takes away, at some moment, what was not synced, or a part of it: the same must hold. A killed process
// tests what reached the operating system; this tests what reached the disk.
func TestPowerCut(t *testing.T) {
	random := rand.New(rand.NewPCG(breakSeed(t), 1))
	disk := vfs.NewCrashableMem()
	var confirmed, all []string // before a cut, and until it was noticed
	for round := range 20 {
		if err := disk.MkdirAll("store", 0o700); err != nil {
			t.Fatal(err)
		}
		s, err := embedded.OpenOn(disk, "store", embedded.Options{})
		if err != nil {
			t.Fatalf("open after power cut %d: %v", round, err)
		}
		verify(t, s, listen(confirmed), listen(all))
		if t.Failed() {
			t.Fatalf("after power cut %d", round)
		}

		var mu sync.Mutex
		var lines []string
		enough := make(chan struct{})
		left := 1 + random.IntN(700)
		done := make(chan error)
		go func() {
			done <- work(s, round, func(line string) {
				mu.Lock()
				defer mu.Unlock()
				lines = append(lines, line)
				if left--; left == 0 {
					close(enough)
				}
			})
		}()
		<-enough
		mu.Lock()
		confirmed = append(confirmed, lines...)
		mu.Unlock()
		next := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 0, 50, 90}[round%4], RNG: random})
		shut(t, s)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		all = append(all, lines...)
		disk = next
	}
}
