package forensic_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// BenchmarkIngest stores 130,000 and 65,000 mails of one file into a table on disk, every write synced, from
// blobs that are fetched over loopback HTTP.
func BenchmarkIngest(b *testing.B) {
	for _, shape := range []struct{ blobs, records int }{{130, 1000}, {260, 250}} {
		for _, workers := range []int{1, 8, 16} {
			b.Run(fmt.Sprintf("%dx%d/%d", shape.blobs, shape.records, workers), func(b *testing.B) {
				b.ReportAllocs()
				var units float64
				for b.Loop() {
					b.StopTimer()
					w := newWorld(b)
					bodies := w.fill(shape.blobs, shape.records)
					server := httptest.NewServer(w.feed)
					b.StartTimer()
					w.drain(b, wire{server}, bodies, workers)
					b.StopTimer()
					server.Close()
					units += w.events.(*embedded.Table).Units().Write
					b.StartTimer()
				}
				events := float64(shape.blobs * shape.records * b.N)
				b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
				b.ReportMetric(units/events, "units/event")
			})
		}
	}
}

// fill offers blobs of new records, and returns what the queue says of them.
func (w *world) fill(blobs, records int) [][]byte {
	bodies := make([][]byte, blobs)
	for i := range bodies {
		sends := make([]string, records)
		for n := range sends {
			sends[n] = send((i*records+n)%7200, fmt.Sprintf("Report %d for review.docx (%db)", n, 20000+n))
			// In no order, as GUIDs are.
			sends[n] = strings.Replace(sends[n], "4F2C1E1A", fmt.Sprintf("%08X", uint32(i*records+n)*2654435761), 1)
		}
		bodies[i] = w.add(fmt.Sprintf("blob-%d", i), now, array(sends...))
	}
	return bodies
}

// drain ingests all bodies with that many workers, as one process.
func (w *world) drain(b *testing.B, feed forensic.Feed, bodies [][]byte, workers int) {
	in := w.ingester()
	in.Feed = feed
	queue := make(chan []byte, len(bodies))
	for _, body := range bodies {
		queue <- body
	}
	close(queue)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for body := range queue {
				if err := in.Ingest(context.Background(), body); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// wire fetches blobs from a server.
type wire struct{ server *httptest.Server }

func (w wire) Open(ctx context.Context, _ connection.Tenant, uri string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+"/?uri="+url.QueryEscape(uri), nil)
	if err != nil {
		return nil, err
	}
	response, err := w.server.Client().Do(request)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

func (f feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(w, f[r.FormValue("uri")]()); err != nil {
		panic(err)
	}
}
