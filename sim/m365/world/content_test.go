package world

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"
	"testing/iotest"
)

func TestContentIsTheSameHoweverItIsRead(t *testing.T) {
	for _, length := range []int64{0, 1, 3, 4, 5, 11, 12, 13, 1000, 70001} {
		a := Attachment{Seed: 7, Length: length, Magic: []byte("%PDF")}
		whole, err := io.ReadAll(a.Reader())
		if err != nil || int64(len(whole)) != length {
			t.Fatalf("length %d: read %d bytes, error %v", length, len(whole), err)
		}
		for name, cut := range map[string]func(io.Reader) io.Reader{"byte by byte": iotest.OneByteReader,
			"halves": iotest.HalfReader} {
			again, err := io.ReadAll(cut(a.Reader()))
			if err != nil || !bytes.Equal(whole, again) {
				t.Errorf("length %d, %s: the bytes differ from one read (error %v)", length, name, err)
			}
		}
		if want := a.Magic[:min(length, 4)]; !bytes.HasPrefix(whole, want) {
			t.Errorf("length %d: starts with %q, want %q", length, whole[:min(len(whole), 4)], want)
		}
	}
}

func TestContentFollowsItsSeed(t *testing.T) {
	one, _ := io.ReadAll(Attachment{Seed: 1, Length: 64}.Reader())
	two, _ := io.ReadAll(Attachment{Seed: 2, Length: 64}.Reader())
	if bytes.Equal(one, two) {
		t.Error("two seeds gave the same bytes")
	}
}

// The truth of every stored company rests on these bytes; a change of the generator must be seen.
func TestContentIsPinned(t *testing.T) {
	hash := sha256.New()
	if _, err := io.Copy(hash, Attachment{Seed: 42, Length: 100_003,
		Magic: []byte("PK\x03\x04")}.Reader()); err != nil {
		t.Fatal(err)
	}
	const want = "8e38318e96f1cccc5209a542433f3a2db3413e18550c2e02b1fd147d2fe4e5d4"
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("sha256 of the pinned attachment is %s, want %s", got, want)
	}
}

func BenchmarkContent(b *testing.B) {
	a := Attachment{Seed: 1, Length: 64 << 20}
	b.SetBytes(a.Length)
	for b.Loop() {
		if _, err := io.Copy(io.Discard, a.Reader()); err != nil {
			b.Fatal(err)
		}
	}
}
