import WebFormats

/// One code of the problems that the doors of the web answer with, for `apus errors`: a row of their one table.
package struct WebProblem: Sendable {
    package let code: String
    package let status: Int
    package let title: String
    /// What the Kafka protocol calls it; nil where it has no word.
    package let kafkaError: Int16?
    package let isRetryable: Bool

    /// In the order of their codes.
    package static let all: [WebProblem] = ProblemCode.allCases.map { code in
        WebProblem(
            code: code.rawValue, status: code.status, title: "\(code.title)", kafkaError: code.kafkaError,
            isRetryable: code.isRetryable)
    }.sorted { $0.code < $1.code }
}
