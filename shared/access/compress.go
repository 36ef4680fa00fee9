package access

import (
	"compress/gzip"
	"net/http"
	"strings"
)

// zipFrom is how many bytes of an answer make compressing worthwhile.
const zipFrom = 16 << 10

// Compress wraps next: an answer of more than 16 KiB is compressed if the caller accepts gzip. No more than that is
// held back before it is sent on. If next panics, what it has written stays unfinished.
func Compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead || !acceptsGzip(r.Header.Get("Accept-Encoding")) {
			next.ServeHTTP(w, r)
			return
		}
		z := &zipping{ResponseWriter: w}
		next.ServeHTTP(z, r)
		z.close()
	})
}

// zipping holds an answer back until it is known whether it is compressed.
type zipping struct {
	http.ResponseWriter
	status int
	held   []byte
	plain  bool         // it is not, and what was held is sent
	zip    *gzip.Writer // it is
}

// WriteHeader sets the status, once.
func (z *zipping) WriteHeader(status int) {
	if z.status != 0 {
		return
	}
	if status < 200 {
		z.ResponseWriter.WriteHeader(status)
		return
	}
	z.status = status
	empty := status == http.StatusNoContent || status == http.StatusNotModified
	if empty || z.Header().Get("Content-Encoding") != "" {
		z.plain = true
		z.ResponseWriter.WriteHeader(status)
	}
}

// Write takes a part of the body.
func (z *zipping) Write(p []byte) (int, error) {
	if z.status == 0 {
		z.WriteHeader(http.StatusOK)
	}
	switch {
	case z.plain:
		return z.ResponseWriter.Write(p)
	case z.zip != nil:
		return z.zip.Write(p)
	}
	if z.held = append(z.held, p...); len(z.held) <= zipFrom {
		return len(p), nil
	}
	h := z.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", http.DetectContentType(z.held)) // as net/http does with what it sends
	}
	h.Set("Content-Encoding", "gzip")
	h.Add("Vary", "Accept-Encoding")
	h.Del("Content-Length")
	z.ResponseWriter.WriteHeader(z.status)
	// Large answers are repetitive text, and a function's processor is slow: the fastest level is the right one.
	z.zip, _ = gzip.NewWriterLevel(z.ResponseWriter, gzip.BestSpeed) // the level exists
	_, err := z.zip.Write(z.held)
	z.held = nil
	return len(p), err
}

// close sends the end. A caller that has hung up, or a writer that takes no more, does not miss it.
func (z *zipping) close() {
	switch {
	case z.zip != nil:
		_ = z.zip.Close()
	case !z.plain && z.status != 0:
		z.ResponseWriter.WriteHeader(z.status)
		if len(z.held) > 0 {
			_, _ = z.ResponseWriter.Write(z.held)
		}
	}
}

// acceptsGzip reads an Accept-Encoding (RFC 9110, 12.5.3). A caller that names no coding gets none.
func acceptsGzip(header string) bool {
	star := false
	for element := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(element, ";")
		_, q, _ := strings.Cut(strings.ReplaceAll(weight, " ", ""), "=")
		wanted := q == "" || strings.Trim(q, "0.") != ""
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip":
			return wanted
		case "*":
			star = wanted
		}
	}
	return star
}
