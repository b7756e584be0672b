"""The parts of the verb replay: the origin's rows, what passes of the edited ones, and their publication."""
