package enrich

import (
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

const (
	maxInProgress = 1000      // messages that are remembered
	progressLife  = time.Hour // how long it is trusted
)

// messageKey names a message.
type messageKey struct {
	connection connection.ID
	record     forensic.RecordID
}

func keyOf(m forensic.Message) messageKey { return messageKey{m.Connection, m.Record} }

// progress remembers what was read of messages that are not settled yet, so that the failure of one file does
// not repeat the download of all others. It is lost with the process, which costs one more download. It is safe
// for concurrent use.
type progress struct {
	now func() time.Time

	mu    sync.Mutex
	begun map[messageKey]*partly
}

type partly struct {
	since time.Time
	files map[string]forensic.Attachment // by Graph's id
}

func (p *progress) open(now func() time.Time) { p.now, p.begun = now, make(map[messageKey]*partly) }

func (p *progress) of(key messageKey, id string) (forensic.Attachment, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.begun[key]
	if one == nil || p.now().Sub(one.since) > progressLife {
		return forensic.Attachment{}, false
	}
	done, ok := one.files[id]
	return done, ok
}

// keep makes room, when there is none, by forgetting the oldest.
func (p *progress) keep(key messageKey, id string, done forensic.Attachment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.begun[key]
	if one == nil {
		if len(p.begun) >= maxInProgress {
			p.forgetOldest()
		}
		one = &partly{p.now(), make(map[string]forensic.Attachment)}
		p.begun[key] = one
	}
	one.files[id] = done
}

func (p *progress) forgetOldest() {
	var oldest messageKey
	var since time.Time
	for key, one := range p.begun {
		if since.IsZero() || one.since.Before(since) {
			oldest, since = key, one.since
		}
	}
	delete(p.begun, oldest)
}

func (p *progress) forget(key messageKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.begun, key)
}
