"""The parts of `facelog report`: tables to content, content to charts and pages. `pipelines.report` wires them."""
