package enrich

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
)

// bufferSize is how much of a file is in memory at a time: little enough to stay in the processor's cache
// between the two hashes.
const bufferSize = 64 << 10

// errTooLarge says that a file is above the limit: no more of it was read.
var errTooLarge = errors.New("the file is above the limit for hashing")

// sum is what is computed from a file's bytes.
type sum struct {
	size        int64
	md5, sha256 string // lower-case hex
	media       string // media type of the first bytes; "" when they do not show one
}

// hash reads a file to its end, once, and keeps none of it; also, when it is not nil, gets all bytes too. A
// stream that does not end as it should has no sum.
func (a *Agent) hash(body io.Reader, also *quickXor) (sum, error) {
	buffer := a.buffers.Get().(*[bufferSize]byte)
	defer a.buffers.Put(buffer)
	var s sum
	// Incydr searches by MD5 and SHA-256. A forger can beat the first, but not the second.
	m, h := md5.New(), sha256.New()
	for first := true; ; first = false {
		n, err := fill(body, buffer[:])
		if s.size += int64(n); s.size > a.config.Limit {
			return sum{}, errTooLarge
		}
		m.Write(buffer[:n]) // a hash.Hash never fails to write
		h.Write(buffer[:n])
		if also != nil {
			also.add(buffer[:n])
		}
		if first {
			s.media = mediaType(buffer[:n])
		}
		if err == io.EOF {
			s.md5, s.sha256 = hex.EncodeToString(m.Sum(nil)), hex.EncodeToString(h.Sum(nil))
			return s, nil
		}
		if err != nil {
			return sum{}, err
		}
	}
}

// fill reads until the buffer is full; it returns io.EOF only at the stream's own end.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var read int
		read, err = r.Read(p[n:])
		n += read
	}
	return n, err
}

// quickXor is OneDrive's own hash of a file ("QuickXorHash algorithm"): each byte is xored into 160 bits,
// eleven bits further than the one before, and then the length into the last 64 of them. It shows whether bytes
// were lost; it does not protect against forgery.
type quickXor struct {
	bits [20]byte
	size uint64
}

func (x *quickXor) add(p []byte) {
	at := int(x.size % 160 * 11 % 160)
	for _, b := range p {
		i, shift := at/8, at%8
		x.bits[i] ^= b << shift
		if shift > 0 {
			x.bits[(i+1)%len(x.bits)] ^= b >> (8 - shift)
		}
		if at += 11; at >= 160 {
			at -= 160
		}
	}
	x.size += uint64(len(p))
}

// sum is the hash in base64, as Graph writes it.
func (x *quickXor) sum() string {
	bits := x.bits
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], x.size)
	for i, b := range size {
		bits[12+i] ^= b
	}
	return base64.StdEncoding.EncodeToString(bits[:])
}
