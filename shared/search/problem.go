package search

import "fmt"

// ProblemType is a word for programs for what is wrong with a search (Incydr: problems.type).
type ProblemType string

// Incydr's types of problems that occur here.
const (
	IllegalValue         ProblemType = "ILLEGAL_VALUE"
	IllegalOperator      ProblemType = "ILLEGAL_OPERATOR"
	IllegalSort          ProblemType = "ILLEGAL_SORT"
	IllegalGroup         ProblemType = "ILLEGAL_GROUP"
	MaxLengthExceeded    ProblemType = "MAX_LENGTH_EXCEEDED"
	MaxFiltersExceeded   ProblemType = "MAX_FILTERS_EXCEEDED"
	MaxValuesExceeded    ProblemType = "MAX_VALUES_FOR_FILTER_EXCEEDED"
	MaxGroupsExceeded    ProblemType = "MAX_GROUPS_EXCEEDED"
	InvalidPageSize      ProblemType = "INVALID_PAGE_SIZE"
	InvalidPageNumber    ProblemType = "INVALID_PAGE_NUMBER"
	InvalidPageToken     ProblemType = "INVALID_PAGE_TOKEN"
	MissingValue         ProblemType = "MISSING_VALUE"
	UnexpectedValue      ProblemType = "UNEXPECTED_VALUE"
	MissingGroups        ProblemType = "MISSING_GROUPS"
	MissingFilters       ProblemType = "MISSING_FILTERS"
	SearchFailed         ProblemType = "SEARCH_FAILED"
	QueryTimeout         ProblemType = "QUERY_TIMEOUT"
	UnsupportedMediaType ProblemType = "UNSUPPORTED_MEDIA_TYPE" // our own
)

// Problem is one thing that is wrong with a search (Incydr: problems).
type Problem struct {
	Type        ProblemType `json:"type"`
	BadFilter   *BadFilter  `json:"badFilter"` // null if the problem is not about one filter
	Description string      `json:"description"`
}

// BadFilter is the filter that a problem is about, as the caller wrote it.
type BadFilter struct {
	Term     string `json:"term"`
	Operator string `json:"operator"`
	Value    any    `json:"value"`
}

func (p *Problem) Error() string { return fmt.Sprintf("%s: %s", p.Type, p.Description) }

func problem(t ProblemType, format string, args ...any) *Problem {
	return &Problem{Type: t, Description: fmt.Sprintf(format, args...)}
}
