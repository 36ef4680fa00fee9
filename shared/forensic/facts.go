package forensic

import "strings"

// The facts of how a message was sent stand in one attribute, in this order, with a separator behind each but the last
// ones that are empty: every attribute costs its name and time. An empty text is what nearly all records say.
const (
	noFact  = "\x1e" // for a fact that is "", where nearly all records say something
	yesFact = "1"
	noTruth = "0"
)

// fact is a text that stands among the facts, and what an empty text there means.
type fact struct {
	text    *string
	implied string
}

// factTexts are the facts of form 2 that are texts. A further one goes to the end.
func (m *Message) factTexts() [13]fact {
	return [...]fact{
		{&m.UserID, m.Actor},
		{&m.UserKey, ""},
		{(*string)(&m.UserType), string(RegularUser)},
		{(*string)(&m.LogonType), string(OwnerLogon)},
		{&m.MailboxGUID, ""},
		{&m.Service, exchangeOnline},
		{&m.Folder, `\Drafts`},
		{&m.ItemID, ""},
		{&m.ImmutableID, ""},
		{&m.ActorIP, ""},
		{&m.DeviceID, ""},
		{&m.Sensitivity, ""},
		{&m.Coverage, ""},
	}
}

// facts writes the facts: external access, saved to Sent Items, and the texts.
func (m *Message) facts() string {
	b := make([]byte, 0, 256)
	for _, is := range [...]*bool{m.ExternalAccess, m.SavedToSent} {
		switch {
		case is == nil:
		case *is:
			b = append(b, yesFact...)
		default:
			b = append(b, noTruth...)
		}
		b = append(b, separator...)
	}
	texts := m.factTexts()
	for i := range texts {
		switch t := *texts[i].text; {
		case t == texts[i].implied:
		case t == "":
			b = append(b, noFact...)
		default:
			b = append(b, t...)
		}
		b = append(b, separator...)
	}
	return strings.TrimRight(string(b), separator)
}

// takeFacts reverses facts. The actor is there already.
func (m *Message) takeFacts(facts string) {
	next := func() (text string) {
		text, facts, _ = strings.Cut(facts, separator)
		return text
	}
	for _, is := range [...]**bool{&m.ExternalAccess, &m.SavedToSent} {
		if text := next(); text != "" {
			yes := text == yesFact
			*is = &yes
		}
	}
	texts := m.factTexts()
	for i := range texts {
		text := next()
		switch text {
		case "":
			text = texts[i].implied
		case noFact:
			text = ""
		}
		*texts[i].text = text
	}
}
