package m365sim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

func mailRoles() []string { return []string{"Mail.Read", "Mail.ReadBasic", "Mail.ReadBasic.All"} }

func messageProperties() []string {
	return []string{
		"id", "internetMessageId", "subject", "sentDateTime", "receivedDateTime", "createdDateTime", "from", "sender",
		"toRecipients", "ccRecipients", "bccRecipients", "replyTo", "hasAttachments", "isDraft", "parentFolderId",
		"conversationId", "changeKey", "webLink",
	}
}

func (c *call) messageObject(m *world.Message) map[string]any {
	id, sent := c.messageID(m), m.Sent.UTC().Format("2006-01-02T15:04:05Z")
	return map[string]any{
		"@odata.etag": `W/"` + guid(0, id) + `"`,
		"id":          id, "internetMessageId": m.InternetMessageID, "subject": m.Subject,
		"sentDateTime": sent, "receivedDateTime": sent, "createdDateTime": sent,
		"from": recipient(m.From), "sender": recipient(m.Sender),
		"toRecipients": recipients(m.To), "ccRecipients": recipients(m.Cc), "bccRecipients": recipients(m.Bcc),
		"replyTo": []any{}, "hasAttachments": hasAttachments(m), "isDraft": m.Draft,
		"parentFolderId": folderID(m.Mailbox, m.Folder), "conversationId": guid(1, m.InternetMessageID),
		"changeKey": guid(2, id),
		"webLink":   "https://outlook.office365.com/owa/?ItemID=" + id,
	}
}

func recipient(a world.Address) map[string]any {
	if a == (world.Address{}) { // a Teams chat item, or a draft that nobody has sent
		return nil
	}
	return map[string]any{"emailAddress": map[string]string{"name": a.Name, "address": a.Address}}
}

func recipients(list []world.Address) []any {
	made := make([]any, 0, len(list))
	for _, a := range list {
		made = append(made, recipient(a))
	}
	return made
}

// hasAttachments is false when all attachments are inline, as Microsoft has it by design.
func hasAttachments(m *world.Message) bool {
	return slices.ContainsFunc(m.Attachments, func(a world.Attachment) bool { return !a.Inline })
}

// folderID is the id of one of a mailbox's folders, which a client may use in place of the well-known name.
func folderID(mailbox, folder string) string { return guid(3, mailbox, strings.ToLower(folder)) }

// listMessages answers with one page of the messages of a mailbox, or of one of its folders, that the filter
// accepts, the latest first.
func listMessages(c *call) {
	if !c.allow(mailRoles(), "$filter", "$select", "$top", "$skip", "$orderby") {
		return
	}
	known := messageProperties()
	names, ok := c.selected("microsoft.graph.message", known, known)
	if !ok {
		return
	}
	names = withID(names)
	top, ok := c.number("$top", 10, 1, 1000)
	if !ok {
		return
	}
	skip, ok := c.number("$skip", 0, 0, 1<<30)
	if !ok {
		return
	}
	clauses, ok := c.messageFilter()
	if !ok {
		return
	}
	box := c.enter()
	if box == nil {
		return
	}
	defer c.leave(box)
	found := c.find(box, clauses)
	page := found[min(skip, len(found)):min(skip+top, len(found))]
	value := make([]any, 0, len(page))
	for _, m := range page {
		value = append(value, only(c.messageObject(m), names))
	}
	context := c.base(graph) + "/v1.0/$metadata#users('" + c.r.PathValue("user") + "')/messages"
	answer := map[string]any{"@odata.context": context, "value": value}
	if skip+top < len(found) {
		answer["@odata.nextLink"] = c.next("$skip", strconv.Itoa(skip+top))
	}
	c.json(http.StatusOK, answer)
}

// withID adds the id, which Graph gives for a message whatever is selected.
func withID(names []string) []string {
	if slices.Contains(names, "id") {
		return names
	}
	return append(slices.Clone(names), "id")
}

// messageFilter reads $filter and $orderby. What is ordered by must come first in the filter.
func (c *call) messageFilter() ([]clause, bool) {
	clauses, ok := readClauses(c.query.Get("$filter"))
	for _, one := range clauses {
		_, known := one.accepts(&world.Message{})
		ok = ok && known
	}
	if !ok {
		c.fail(http.StatusBadRequest, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more "+
			"invalid nodes.")
		return nil, false
	}
	field, _, _ := strings.Cut(c.query.Get("$orderby"), " ")
	switch {
	case field == "":
	case field != "sentDateTime" && field != "receivedDateTime":
		c.badRequest("Only sentDateTime and receivedDateTime can be ordered by.")
		return nil, false
	case len(clauses) > 0 && clauses[0].field != field:
		c.fail(http.StatusBadRequest, "InefficientFilter", "The restriction or sort order is too complex for this "+
			"operation.")
		return nil, false
	}
	return clauses, true
}

// find gives the messages that the clauses accept. Graph finds nothing for a message id whose angle brackets were
// not percent-encoded, and reports no error. Neither does this.
func (c *call) find(box *mailbox, clauses []clause) []*world.Message {
	if strings.ContainsAny(c.r.URL.RawQuery, "<>") {
		return nil
	}
	folder := c.r.PathValue("folder")
	c.tenant.mu.RLock()
	defer c.tenant.mu.RUnlock()
	candidates := box.messages
	for _, one := range clauses {
		if one.field == "internetMessageId" {
			candidates = box.byInternet[one.value]
		}
	}
	var found []*world.Message
	for _, m := range candidates {
		if !c.lists(folder, m) {
			continue
		}
		rejects := func(one clause) bool { yes, _ := one.accepts(m); return !yes }
		if c.arrived(m) && !slices.ContainsFunc(clauses, rejects) {
			found = append(found, m)
		}
	}
	sign := 1
	if c.query.Get("$orderby") == "" || strings.HasSuffix(c.query.Get("$orderby"), " desc") {
		sign = -1
	}
	slices.SortStableFunc(found, func(a, b *world.Message) int { return sign * a.Sent.Compare(b.Sent) })
	return found
}

// lists reports whether a message is in the folder of the path. Without one, all folders are meant but Recoverable
// Items.
func (c *call) lists(folder string, m *world.Message) bool {
	if folder == "" {
		return c.opts.RecoverableInMessages || !strings.EqualFold(m.Folder, recoverable)
	}
	return strings.EqualFold(folder, m.Folder) || folder == folderID(m.Mailbox, m.Folder)
}

// getMessage answers with one message.
func getMessage(c *call) {
	if !c.allow(mailRoles(), "$select") {
		return
	}
	known := messageProperties()
	names, ok := c.selected("microsoft.graph.message", known, known)
	if !ok {
		return
	}
	box := c.enter()
	if box == nil {
		return
	}
	defer c.leave(box)
	if m := c.message(box); m != nil {
		c.json(http.StatusOK, only(c.messageObject(m), withID(names)))
	}
}
