package forensic

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// testdata/forms/1.json holds items as they were stored before messages had a form, by name, with what that version of
// the program read from them. They must read the same now.
func TestMessagesOfTheFirstFormStayReadable(t *testing.T) {
	content, err := os.ReadFile("testdata/forms/1.json")
	if err != nil {
		t.Fatal(err)
	}
	var items map[string]struct {
		Partition, Sort string
		Attrs           map[string]any
		Message         json.RawMessage
	}
	if err := json.Unmarshal(content, &items); err != nil {
		t.Fatal(err)
	}
	for name, stored := range items {
		t.Run(name, func(t *testing.T) {
			events := openTable(t)
			item := table.Item{Key: table.Key{Partition: stored.Partition, Sort: stored.Sort}, Attrs: attrsOf(stored.Attrs)}
			if err := events.Load(context.Background(), item); err != nil {
				t.Fatal(err)
			}
			var want Message
			if err := json.Unmarshal(stored.Message, &want); err != nil {
				t.Fatal(err)
			}
			got, err := Load(context.Background(), events, tester, []RecordID{want.Record})
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
				t.Fatalf("read as\n%+v, %v\nwant\n%+v", got, err, want)
			}

			// Stored again, in the current form, it still says the same.
			again, _ := encode(&got[0], "", time.Time{})
			if again.Attrs[attrForm] != currentForm {
				t.Errorf("it is stored again in form %v", again.Attrs[attrForm])
			}
			if m, _, err := decode(tester, again); err != nil || !reflect.DeepEqual(m, want) {
				t.Errorf("stored again it is\n%+v, %v\nwant\n%+v", m, err, want)
			}
		})
	}
}

// attrsOf turns decoded JSON into attributes: all numbers are whole, and lists are of maps.
func attrsOf(from map[string]any) table.Attrs {
	a := make(table.Attrs, len(from))
	for name, v := range from {
		switch v := v.(type) {
		case float64:
			a[name] = int64(v)
		case []any:
			var list []table.Attrs
			for _, one := range v {
				list = append(list, attrsOf(one.(map[string]any)))
			}
			a[name] = list
		default:
			a[name] = v
		}
	}
	return a
}

func TestAMessageOfALaterFormIsRefusedWithASentence(t *testing.T) {
	item, _ := encode(new(typical()), "", time.Time{})
	item.Attrs[attrForm] = currentForm + 1
	_, _, err := decode(tester, item)
	if !errors.Is(err, fault.Poison) ||
		!strings.Contains(err.Error(), "is stored in form 3; this version of Mailtrail reads") {
		t.Errorf("got %v", err)
	}
}

func TestApplicationsAreNamedWhereMicrosoftIsKnownByThem(t *testing.T) {
	for id, want := range map[string]string{
		"9199BF20-A13F-4107-85DC-02114787EF48": "One Outlook Web",
		"5d661950-3475-41cd-a2c3-d671a3162bc1": "Microsoft Outlook",
		"c8b1d3f2-5555-4e6f-8a9b-0c1d2e3f4a5b": "",
		"":                                     "",
	} {
		if got := ApplicationName(id); got != want {
			t.Errorf("application %q is %q, want %q", id, got, want)
		}
	}
}
