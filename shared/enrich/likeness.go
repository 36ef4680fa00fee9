package enrich

import (
	"context"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

const (
	// apart is how far the times of a record and of its mail may lie apart.
	apart = 2 * time.Minute
	// sizesApart is how far the stored sizes of an attachment may lie apart in record and mail.
	sizesApart = 1 << 10
	// maxLike bounds the mails whose attachments are listed: among more, none could be distinguished.
	maxLike = 4
)

// byLikeness looks for a mail that was sent when the record says, with its subject and its attachments. It is
// taken only if it is the only one, and fits no other record: a wrong mail would show wrong hashes.
func (l *look) byLikeness(ctx context.Context) (located, bool, error) {
	m := l.t.message
	if len(m.Files) == 0 {
		return located{}, false, nil
	}
	var like []located
	for i := range l.boxes {
		for _, folder := range []Folder{SentItems, DeletedForGood} {
			if l.closed[i] {
				continue
			}
			var mails []Mail
			all := true
			err := l.in(ctx, i, func(ctx context.Context, mailbox string) (err error) {
				mails, all, err = l.config.Graph.FindAround(
					ctx, l.t.tenant, mailbox, folder, m.Observed.Add(-apart), m.Observed.Add(apart))
				return err
			})
			if err != nil {
				return located{}, false, err
			}
			if !all {
				return located{}, false, errAmbiguous
			}
			for _, mail := range mails {
				if !mail.Draft && strangeness(mail, m) == 0 && sameSubject(mail.Subject, m.Subject) &&
					distance(mail.Sent, m.Observed) <= apart {
					like = append(like, located{
						mailbox: l.boxes[i].address, name: l.boxes[i].name, mail: mail, sent: folder == SentItems,
						matchedBy: forensic.ByLikeness,
					})
				}
			}
		}
	}
	if l.failed != nil || len(like) == 0 {
		return located{}, false, nil
	}
	if len(like) > maxLike {
		return located{}, false, errAmbiguous
	}
	return l.only(ctx, like)
}

// only returns the one of several mails whose attachments are those of the record, if no other record claims it.
func (l *look) only(ctx context.Context, like []located) (found located, ok bool, err error) {
	for _, one := range like {
		attached, err := l.attachments(ctx, l.t, one)
		if err != nil {
			return located{}, false, err
		}
		if !fits(l.t.message.Files, attached) {
			continue
		}
		if ok {
			return located{}, false, errAmbiguous
		}
		found, ok = one, true
	}
	if !ok {
		return located{}, false, nil
	}
	rival, err := l.config.Messages.Rival(ctx, l.t.message, found.mail.MessageID)
	if err != nil {
		return located{}, false, err
	}
	if rival {
		return located{}, false, errAmbiguous
	}
	return found, true, nil
}

// sameSubject compares a mail's subject with a record's, which is cut if it is long.
func sameSubject(mail, record string) bool {
	mail, record = strings.TrimSpace(mail), strings.TrimSpace(record)
	return mail == record || record != "" && len(record) > 1000 && strings.HasPrefix(mail, record)
}

// fits reports whether a mail has the attachments of a record, by names and sizes, and no others but inline images.
func fits(files []forensic.File, attached []Attached) bool {
	paired := 0
	for i, file := range match(files, attached) {
		a := attached[i]
		if file < 0 {
			if !a.Inline {
				return false
			}
			continue
		}
		name, other := plainName(files[file].Name), plainName(a.Name)
		if name != other && !cutOf(name, other) {
			return false
		}
		if size := files[file].StoredSize; size >= 0 && a.StoredSize >= 0 && abs(size-a.StoredSize) > sizesApart {
			return false
		}
		paired++
	}
	return paired == len(files)
}
