package m365sim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/local/m365sim/world"
)

// mailbox is one person's mail.
type mailbox struct {
	owner      world.Person
	blocked    bool // an application access policy keeps every app out
	messages   []*world.Message
	byInternet map[string][]*world.Message
	running    map[string]int // requests in progress, by client id
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
		box := t.mailbox(owner)
		box.messages = append(box.messages, &m)
		box.byInternet[m.InternetMessageID] = append(box.byInternet[m.InternetMessageID], &m)
	}
	return nil
}

// mailbox gives the person's mailbox, which is made at its first use. The tenant must be locked for writing.
func (t *tenant) mailbox(owner world.Person) *mailbox {
	box := t.mailboxes[owner.ID]
	if box == nil {
		box = &mailbox{byInternet: map[string][]*world.Message{}, running: map[string]int{}}
		t.mailboxes[owner.ID] = box
	}
	box.owner = owner
	return box
}

// MoveMessage moves a message to another folder. As with Microsoft its store id changes; the immutable id stays.
func (s *Server) MoveMessage(tenantID, user, immutableID, folder string) error {
	return s.onMailbox(tenantID, user, func(box *mailbox) error {
		for i, m := range box.messages {
			if m.ImmutableID == immutableID {
				moved := *m
				moved.Folder, moved.ID = folder, seal(m.ImmutableID, folder, m.ID)
				box.replace(i, &moved)
				return nil
			}
		}
		return fmt.Errorf("move message %q: the mailbox of %s does not hold it", immutableID, user)
	})
}

// DeleteMessages removes every copy with this internet message id from the mailbox.
func (s *Server) DeleteMessages(tenantID, user, internetMessageID string) error {
	return s.onMailbox(tenantID, user, func(box *mailbox) error {
		delete(box.byInternet, internetMessageID)
		box.messages = slices.DeleteFunc(box.messages, func(m *world.Message) bool { return m.InternetMessageID == internetMessageID })
		return nil
	})
}

// BlockMailbox makes an application access policy keep every app out of the mailbox, or let them in again.
func (s *Server) BlockMailbox(tenantID, user string, blocked bool) error {
	return s.onMailbox(tenantID, user, func(box *mailbox) error {
		box.blocked = blocked
		return nil
	})
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
	return change(t.mailbox(owner))
}

// replace puts another version of a message where the i-th was. Requests may still read the old one, so it is left
// as it is.
func (box *mailbox) replace(i int, m *world.Message) {
	old := box.messages[i]
	box.messages[i] = m
	same := slices.Clone(box.byInternet[m.InternetMessageID])
	same[slices.Index(same, old)] = m
	box.byInternet[m.InternetMessageID] = same
}

// enter finds the mailbox of the path and takes one of the app's places in it. It answers the call itself when it
// returns nil; otherwise the caller must leave.
func (c *call) enter() *mailbox {
	name := c.r.PathValue("user")
	t := c.tenant
	t.mu.Lock()
	defer t.mu.Unlock()
	owner, ok := t.directory.find(name)
	if !ok {
		c.notFound("ErrorInvalidUser", "The requested user '"+name+"' is invalid.")
		return nil
	}
	if owner.Mail == "" {
		c.notFound("MailboxNotEnabledForRESTAPI", "The mailbox is either inactive, soft-deleted, or is hosted on-premise.")
		return nil
	}
	box := t.mailbox(owner)
	client := strings.ToLower(c.token.client)
	switch {
	case box.blocked:
		c.fail(http.StatusForbidden, "ErrorAccessDenied", "Access to OData is disabled.")
	case box.running[client] >= c.s.opts.MailboxSlots:
		c.retryAfter(c.s.opts.RetryAfter)
		c.fail(http.StatusTooManyRequests, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.")
	default:
		box.running[client]++
		return box
	}
	return nil
}

// leave gives the place in the mailbox back.
func (c *call) leave(box *mailbox) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	box.running[strings.ToLower(c.token.client)]--
}

// immutable tells whether the request asks for ids that survive a move.
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

// arrived tells whether the message can be found yet: it was sent, and its Sent Items copy had its time.
func (c *call) arrived(m *world.Message) bool {
	at := m.Sent
	if strings.EqualFold(m.Folder, "sentitems") {
		at = at.Add(c.s.opts.SentLag)
	}
	return !c.now.Before(at)
}

// message finds the message of the path in the mailbox, and refuses the call when it is not there.
func (c *call) message(box *mailbox) *world.Message {
	wanted := c.r.PathValue("message")
	c.tenant.mu.RLock()
	defer c.tenant.mu.RUnlock()
	for _, m := range box.messages {
		if c.messageID(m) == wanted && c.arrived(m) {
			return m
		}
	}
	c.notFound("ErrorItemNotFound", "The specified object was not found in the store.")
	return nil
}
