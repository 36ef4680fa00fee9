package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	largeFiles = 450 // of names so long that the message does not fit into one item of the table
	largeName  = 600
	largeID    = "1a26e000-0000-4000-8000-000000000001"
)

// large is one of a slice's sends once more, as another mail with very many files, which is kept in no mailbox: its
// record, and the lines that it adds to the truth.
func large(slice company.Slice) (world.Record, []string, error) {
	records := map[string][]byte{}
	for _, r := range slice.Records {
		records[r.ID] = r.JSON
	}
	for _, sent := range slice.Truth {
		var record map[string]any
		if sent.Noise || json.Unmarshal(records[sent.RecordID], &record) != nil {
			continue
		}
		item, ok := record["Item"].(map[string]any)
		if !ok {
			continue
		}
		var files, lines []string
		for i := range largeFiles {
			name := fmt.Sprintf("scan %03d %s.pdf", i, strings.Repeat("x", largeName))
			files = append(files, fmt.Sprintf("%s (%db)", name, 1000+i))
			lines = append(lines, line(sent.Observed, sent.Actor, sent.Sender, sent.From, sent.Subject, name, notFound, nil))
		}
		record["Id"], item["InternetMessageId"] = largeID, "<large@fernhill.example>"
		item["Attachments"] = strings.Join(files, "; ")
		text, err := json.Marshal(record)
		return world.Record{ID: largeID, Created: sent.Observed, JSON: text}, lines, err
	}
	return world.Record{}, nil, errors.New("the company has sent nothing that could be made large")
}
