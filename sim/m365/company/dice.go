package company

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// The streams keep what is drawn for one purpose apart from what is drawn for another, so that one more draw in the
// one changes nothing in the other. A minute's stream is the minute itself.
const (
	streamPeople = 1<<63 + iota
	streamPartners
	streamTenant
	streamBlobs
	streamLoad
	streamField
)

// dice are everything that is left to chance, and the same for the same seed and stream.
type dice struct{ *rand.Rand }

func throw(seed, stream uint64) dice {
	return dice{rand.New(rand.NewPCG(seed, stream))}
}

// seedOf makes a seed of a text.
func seedOf(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text)) // a hash.Hash never fails to write
	return h.Sum64()
}

// oneIn says yes once in n times on average.
func (d dice) oneIn(n int) bool { return d.IntN(n) == 0 }

// between returns a number in [low, high].
func (d dice) between(low, high int) int { return low + d.IntN(high-low+1) }

func pick[T any](d dice, from []T) T { return from[d.IntN(len(from))] }

// guid returns a random GUID as Microsoft writes them: version 4, lower case.
func (d dice) guid() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], d.Uint64())
	binary.LittleEndian.PutUint64(b[8:], d.Uint64())
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	text := make([]byte, 0, 36)
	for i, v := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text = append(text, '-')
		}
		text = append(text, lowerHex[v>>4], lowerHex[v&15])
	}
	return string(text)
}

// letters returns n characters of the alphabet.
func (d dice) letters(n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[d.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	lowerHex  = "0123456789abcdef"
	upperHex  = "0123456789ABCDEF"
	base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// sometimes returns how many events fall into an interval that holds mean of them on average (Poisson).
func (d dice) sometimes(mean float64) int {
	if mean > 30 { // the product below would need as many draws as events; the normal curve is close enough here
		return max(0, int(math.Round(mean+math.Sqrt(mean)*d.NormFloat64())))
	}
	n, product := 0, d.Float64()
	for limit := math.Exp(-mean); product > limit; n++ {
		product *= d.Float64()
	}
	return n
}
