package m365sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// mailbox is one person's mail.
type mailbox struct {
	blocked    bool                 // an application access policy keeps every app out
	decided    time.Time            // when blocked last changed; it takes effect after Options.PolicyLag
	granted    map[string]time.Time // when a client id was given this mailbox in Exchange; it takes effect like blocked
	messages   []*world.Message
	byInternet map[string][]*world.Message
	byID       map[string]*world.Message // by store id and by immutable id
	running    map[string]int            // requests in progress, by client id
}

// AddMessages puts messages into the mailboxes that they name.
func (s *Server) AddMessages(tenantID string, messages ...world.Message) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range messages {
		m := messages[i]
		owner, ok := t.directory.find(m.Mailbox)
		if !ok {
			return fmt.Errorf("add a message to mailbox %q: tenant %s has no such person", m.Mailbox, tenantID)
		}
		t.mailbox(owner.ID).add(&m)
		t.upload(&m)
	}
	return nil
}

// mailbox gives the person's mailbox, which is made at its first use. The tenant must be locked for writing.
func (t *tenant) mailbox(personID string) *mailbox {
	box := t.mailboxes[personID]
	if box == nil {
		box = &mailbox{byInternet: map[string][]*world.Message{}, byID: map[string]*world.Message{},
			running: map[string]int{}}
		t.mailboxes[personID] = box
	}
	return box
}

func (box *mailbox) add(m *world.Message) {
	box.messages = append(box.messages, m)
	box.byInternet[m.InternetMessageID] = append(box.byInternet[m.InternetMessageID], m)
	box.byID[m.ID], box.byID[m.ImmutableID] = m, m
}

// remove takes out the messages that match and gives them back.
func (box *mailbox) remove(match func(*world.Message) bool) (removed []*world.Message) {
	box.messages = slices.DeleteFunc(box.messages, func(m *world.Message) bool {
		if !match(m) {
			return false
		}
		removed = append(removed, m)
		delete(box.byID, m.ID)
		delete(box.byID, m.ImmutableID)
		box.byInternet[m.InternetMessageID] = slices.DeleteFunc(slices.Clone(box.byInternet[m.InternetMessageID]),
			func(other *world.Message) bool { return other == m })
		return true
	})
	return removed
}

// MoveMessage moves a message to another folder. As with Microsoft its store id changes; the immutable id stays.
func (s *Server) MoveMessage(tenantID, user, immutableID, folder string) error {
	return s.onMailbox(tenantID, user, func(box *mailbox) error {
		found := box.remove(func(m *world.Message) bool { return m.ImmutableID == immutableID })
		if len(found) == 0 {
			return fmt.Errorf("move message %q: the mailbox of %s does not hold it", immutableID, user)
		}
		moved := *found[0] // a copy: requests in progress may still read the old one
		moved.Folder, moved.ID = folder, seal(moved.ID, folder)
		box.add(&moved)
		return nil
	})
}

// recoverable is the well-known folder of what was deleted for good.
const recoverable = "recoverableitemsdeletions"

// DeleteForGood moves every copy with this internet message id to the Recoverable Items, where a person no longer sees
// it and an application still can.
func (s *Server) DeleteForGood(tenantID, user, internetMessageID string) error {
	return s.replaceMessages(tenantID, user, internetMessageID, func(m *world.Message) {
		m.Folder, m.ID = recoverable, seal(m.ID, recoverable)
	})
}

// RewriteMessageID gives every copy with this internet message id another one, as classic Outlook does when it sends:
// what the audit record says then finds nothing.
func (s *Server) RewriteMessageID(tenantID, user, internetMessageID, changed string) error {
	return s.replaceMessages(tenantID, user, internetMessageID,
		func(m *world.Message) { m.InternetMessageID = changed })
}

// replaceMessages changes every copy with this internet message id. It is an error if there is none.
func (s *Server) replaceMessages(tenantID, user, internetMessageID string, change func(*world.Message)) error {
	return s.onMailbox(tenantID, user, func(box *mailbox) error {
		found := box.remove(func(m *world.Message) bool { return m.InternetMessageID == internetMessageID })
		if len(found) == 0 {
			return fmt.Errorf("the mailbox of %s holds no message %q", user, internetMessageID)
		}
		for _, m := range found {
			changed := *m // a copy: requests in progress may still read the old one
			change(&changed)
			box.add(&changed)
		}
		return nil
	})
}

// DeleteMessages removes every copy with this internet message id from the mailbox.
func (s *Server) DeleteMessages(tenantID, user, internetMessageID string) error {
	return s.onMailbox(tenantID, user, func(box *mailbox) error {
		box.remove(func(m *world.Message) bool { return m.InternetMessageID == internetMessageID })
		return nil
	})
}

// BlockMailbox makes an application access policy keep every app out of the mailbox, or let them in again. The change
// takes effect after Options.PolicyLag.
func (s *Server) BlockMailbox(tenantID, user string, blocked bool) error {
	return s.onMailbox(tenantID, user, func(box *mailbox) error {
		if box.blocked != blocked {
			box.blocked, box.decided = blocked, s.Now()
		}
		return nil
	})
}

// blockedAt reports whether the policy that is in effect keeps apps out.
func (box *mailbox) blockedAt(now time.Time, lag time.Duration) bool {
	inEffect := !now.Before(box.decided.Add(lag))
	return box.blocked == inEffect
}

// GrantMailbox gives an app the mailbox by RBAC for Applications: the grant lives in Exchange, and no token shows it.
// It takes effect after Options.PolicyLag.
func (s *Server) GrantMailbox(tenantID, user, clientID string) error {
	return s.onMailbox(tenantID, user, func(box *mailbox) error {
		if box.granted == nil {
			box.granted = map[string]time.Time{}
		}
		box.granted[strings.ToLower(clientID)] = s.Now()
		return nil
	})
}

// mailboxGranted reports whether the call's app was given the mailbox of the path in Exchange.
func (c *call) mailboxGranted() bool {
	c.tenant.mu.RLock()
	defer c.tenant.mu.RUnlock()
	owner, ok := c.tenant.directory.find(c.r.PathValue("user"))
	if !ok {
		return false
	}
	box := c.tenant.mailboxes[owner.ID]
	if box == nil {
		return false
	}
	since, given := box.granted[strings.ToLower(c.token.client)]
	return given && !c.now.Before(since.Add(c.opts.PolicyLag))
}

func (s *Server) onMailbox(tenantID, user string, change func(*mailbox) error) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	owner, ok := t.directory.find(user)
	if !ok {
		return fmt.Errorf("tenant %s has no person %q", tenantID, user)
	}
	return change(t.mailbox(owner.ID))
}

// enter finds the mailbox of the path and takes one of the app's places in it. It answers the call itself when it
// returns nil; otherwise the caller must leave.
func (c *call) enter() *mailbox {
	box, code := c.takePlace()
	switch code {
	case "":
		return box
	case "ApplicationThrottled":
		c.retryAfter(c.opts.RetryAfter)
	}
	c.refuse(code)
	return nil
}

// takePlace is enter that returns the error code of a refusal instead of answering with it.
func (c *call) takePlace() (box *mailbox, code string) {
	client := strings.ToLower(c.token.client)
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	owner, ok := c.tenant.directory.find(c.r.PathValue("user"))
	if !ok {
		return nil, "ErrorInvalidUser"
	}
	if owner.Mail == "" {
		return nil, "MailboxNotEnabledForRESTAPI"
	}
	box = c.tenant.mailbox(owner.ID)
	switch {
	case box.blockedAt(c.now, c.opts.PolicyLag):
		return nil, "ErrorAccessDenied"
	case box.running[client] >= c.opts.MailboxSlots:
		return nil, "ApplicationThrottled"
	}
	box.running[client]++
	return box, ""
}

// leave gives the place in the mailbox back.
func (c *call) leave(box *mailbox) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	box.running[strings.ToLower(c.token.client)]--
}

// immutable reports whether the request asks for ids that survive a move.
func (c *call) immutable() bool {
	for _, prefer := range c.r.Header.Values("Prefer") {
		for part := range strings.SplitSeq(prefer, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if strings.EqualFold(name, "IdType") && strings.EqualFold(strings.Trim(value, `"`), "ImmutableId") {
				return true
			}
		}
	}
	return false
}

// messageID is the id of the kind that the request asks for.
func (c *call) messageID(m *world.Message) string {
	if c.immutable() {
		return m.ImmutableID
	}
	return m.ID
}

// arrived reports whether the message can be found yet: it was sent, and its Sent Items copy had its time.
func (c *call) arrived(m *world.Message) bool {
	at := m.Sent
	if strings.EqualFold(m.Folder, "sentitems") {
		at = at.Add(c.opts.SentLag)
	}
	return !c.now.Before(at)
}

// message finds the message of the path in the mailbox, and refuses the call when it is not there.
func (c *call) message(box *mailbox) *world.Message {
	wanted := c.r.PathValue("message")
	c.tenant.mu.RLock()
	m := box.byID[wanted]
	c.tenant.mu.RUnlock()
	if m == nil || c.messageID(m) != wanted || !c.arrived(m) {
		c.itemNotFound()
		return nil
	}
	return m
}

func (c *call) itemNotFound() {
	c.refuse("ErrorItemNotFound")
}
