package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// Domains knows of one company that it has a second domain.
func (o *office) Domains(_ context.Context, c connection.ID) ([]string, error) {
	if c == o.conns[0].ID {
		return []string{"partner.example"}, nil
	}
	return nil, nil
}

// discarding is a queue that nobody reads: tests settle messages themselves.
type discarding struct{}

func (discarding) Send(context.Context, ...queue.Message) error { return nil }

// settle settles messages as found says.
func (o *office) settle(conn int, ids []forensic.RecordID) {
	messages, err := forensic.Load(context.Background(), o.ingester.Events, o.conns[conn].ID, ids)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, m := range messages {
		if f := o.found(m); f != nil {
			if err := o.desk.Settle(context.Background(), m, *f); err != nil {
				o.t.Fatal(err)
			}
		}
	}
}

// findings gives most messages random but possible findings.
func (o *office) findings(rng *rand.Rand) func(forensic.Message) *forensic.Finding {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	hash := func() string { return strings.Repeat(pick("0a", "1b", "2c", "3d"), 16) }
	attachment := func(record int, name string) forensic.Attachment {
		a := forensic.Attachment{
			Record: record, ID: fmt.Sprint("id", rng.IntN(50)), Name: name, Kind: forensic.Kind(pick("file", "file", "item",
				"reference")), Inline: rng.IntN(4) == 0,
			ByBytes: pick("", "", "application/pdf", "application/zip", "text/plain", "image/png", "image/x-odd",
				"application/x-odd"), StoredSize: 100, Size: int64(rng.IntN(5)*1000) - 1,
		}
		if rng.IntN(3) > 0 {
			a.MD5, a.SHA256 = hash(), hash()+hash()
		} else {
			a.NoHash = forensic.TooLarge
		}
		return a
	}
	return func(m forensic.Message) *forensic.Finding {
		switch rng.IntN(6) {
		case 0:
			return nil
		case 1:
			return &forensic.Finding{At: o.now, Reason: forensic.Reason(pick("MESSAGE_NOT_FOUND", "OUT_OF_TIME", "NO_MAILBOX"))}
		}
		f := &forensic.Finding{At: o.now, From: pick(m.From, "Alice.Smith@corp.example", ""),
			Sender: pick(m.Sender, "dave@rival.example"), Subject: "Plans", Sent: m.Observed}
		for range rng.IntN(4) {
			f.Recipients = append(f.Recipients, forensic.Recipient{
				Address: pick("x@rival.example", "Z@partner.example", "new@paper.example", "ünal@büro.example", "Drop@Gmail.com",
					"carol@corp.example"), Role: forensic.Role(pick("to", "cc", "bcc")),
			})
		}
		for i := range m.Files {
			if rng.IntN(5) > 0 {
				f.Files = append(f.Files, attachment(i, pick(m.Files[i].Name, m.Files[i].Name, "renamed.pdf")))
			}
		}
		if rng.IntN(4) == 0 {
			f.Files = append(f.Files, attachment(-1, pick("logo.png", "extra.pdf")))
		}
		return f
	}
}
