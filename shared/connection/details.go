package connection

import (
	"fmt"
	"time"
)

// Progress is how far the poller has followed a connection's audit log.
type Progress struct {
	LastPoll time.Time // when the last listing that succeeded ended
	LastBlob time.Time // when the newest blob became available at Microsoft
	LastSend time.Time // when the newest message that was found was sent
	// Read is the arrival of the last poll whose blobs, and all before them, have been read.
	Read     time.Time
	Failures int64    // failed listings in a row
	Listed   int64    // blobs
	Open     int64    // blobs that wait to be read, or are being read
	Warnings []string // sentences about what may be missed
	Ledger   any      // all of it, as JSON shows it
}

// details is a connection on the wire with its progress and history.
type details struct {
	shown
	LastPoll *time.Time `json:"lastPoll"`
	LastBlob *time.Time `json:"lastBlob"`
	LastSend *time.Time `json:"lastSend"`
	// Lag is how many seconds reading is behind the clock: everything that Microsoft listed before that can be found.
	// Microsoft's own delay comes on top. It is null until something was listed, and while the connection is
	// deauthorized.
	Lag         *int64   `json:"lagSeconds"`
	ParkedBlobs int64    `json:"parkedBlobs"` // listed, but not read until the connection is resumed
	WaitingFor  *string  `json:"waitingFor"`  // a sentence when no data arrives; null otherwise
	Warnings    []string `json:"warnings"`    // sentences about what may be missed
	History     []step   `json:"history"`
	Ledger      any      `json:"ledger"`
}

const (
	silent = 15 * time.Minute // after so long without a successful listing somebody should know
	slow   = time.Hour        // reading may lag so far behind before we report it
	quiet  = 24 * time.Hour   // after so long without a new blob we ask whether anybody is at work
)

func detail(c Connection, p Progress, history []Change, now time.Time) details {
	d := details{
		shown: show(c), LastPoll: orNull(p.LastPoll), LastBlob: orNull(p.LastBlob), LastSend: orNull(p.LastSend),
		WaitingFor: orNull(waitingFor(c, p, now)), History: []step{}, Ledger: p.Ledger,
		Warnings: append([]string{}, p.Warnings...),
	}
	if c.Status == Deauthorized {
		d.ParkedBlobs = p.Open
	} else if !p.Read.IsZero() {
		lag := max(0, int64(now.Sub(p.Read)/time.Second))
		d.Lag = &lag
	}
	for _, h := range history {
		d.History = append(d.History, step(h))
	}
	return d
}

// waitingFor says in a sentence what keeps data from arriving. It is "" when data arrives, and when the status's reason
// says it all.
func waitingFor(c Connection, p Progress, now time.Time) string {
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	switch {
	case !c.Purge.Asked.IsZero():
		if begins := c.purgeable(now); now.Before(begins) {
			return "The deletion begins at " + at(begins) + ", or as soon as the subscription at Microsoft is stopped. " +
				"Until then work that began earlier may end."
		}
		return fmt.Sprintf("The deletion is under way: %d items so far.", c.Purge.Deleted)
	case c.Status == Deauthorized && !c.Stopping.IsZero() && p.Open > 0:
		return fmt.Sprintf(
			"Microsoft has not stopped the subscription yet; we ask again at every tick. %d blobs are parked until "+
				"the connection is resumed.",
			p.Open,
		)
	case c.Status == Deauthorized && !c.Stopping.IsZero():
		return "Microsoft has not stopped the subscription yet; we ask again at every tick."
	case c.Status == Deauthorized && p.Open > 0:
		return fmt.Sprintf(
			"%d blobs are parked. They are read when the connection is resumed, unless Microsoft has deleted them by then: "+
				"it keeps them for 7 days.",
			p.Open,
		)
	case c.Status == Deauthorized, c.Status == Error, c.Tenant.ID == "":
		return c.hint()
	case p.LastPoll.IsZero():
		return "Waiting for the first listing of the audit log to succeed. " + c.Reason
	case now.Sub(p.LastPoll) >= silent:
		return fmt.Sprintf(
			"Nothing could be listed since %s, and %d attempts have failed. We keep trying; the operator's log has the cause.",
			at(p.LastPoll), p.Failures,
		)
	case p.Listed == 0:
		return "Subscribed since " + at(c.Subscribed) + ", and Microsoft has not offered anything yet. The first content " +
			"comes within 12 hours; after that, content comes 60 to 90 minutes after a mail was sent."
	case p.LastSend.IsZero() && p.Open > 0:
		return fmt.Sprintf("Waiting for the first blobs to be read: %d of %d are open.", p.Open, p.Listed)
	case p.LastSend.IsZero():
		return fmt.Sprintf(
			"%d blobs were read, and none of them reports a sent mail with attachments. If such mail was sent more than a day "+
				"ago: does the sender have a licence that audits Send, and does Get-Mailbox | Format-List "+
				"AuditEnabled,AuditOwner in Exchange Online PowerShell show True and Send?",
			p.Listed,
		)
	case p.Open > 0 && now.Sub(p.Read) >= slow:
		return fmt.Sprintf("%d blobs wait to be read. What they report cannot be found before that.", p.Open)
	case now.Sub(p.LastBlob) >= quiet:
		return "Microsoft has offered nothing new since " + at(p.LastBlob) + ". Is anybody at work in the tenant?"
	}
	return ""
}

// hint is the reason of a connection that waits for a consent.
func (c Connection) hint() string {
	if c.Status == Initializing {
		return c.Reason
	}
	return ""
}
