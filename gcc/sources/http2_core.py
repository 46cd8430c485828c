"""h2's protocol of HTTP/2, within bounds: bytes in, events and bytes out; h2's ProtocolError beyond them."""

from typing import Final

from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event
from h2.exceptions import DenialOfServiceError
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, SettingsFrame

H2: Final = "4.4.1"
"""The version whose private names `Core` was checked against; a test compares it."""
HEADERS_TABLE_BYTES_MAX = 4096  # of our headers, whatever the server would keep: each is looked for in all of it
EMPTY_FRAMES_MAX = 20_000  # a fifth of a second's work
EMPTY_FRAMES_EACH = 200  # question may bring beyond them
FRAME_BYTES_MIN = 100  # of data: a smaller frame counts as empty
_SETTINGS = frozenset(SettingCodes)


class Core(H2Connection):
    """h2's, that hears the answers which come after a farewell: h2 takes the connection to be closed by it.

    And it bounds what a server can make us do and keep: h2 takes any number of frames, and keeps any setting.
    """

    empty_frames = 0  # but for what the questions asked so far may bring

    def _receive_frame(self, frame: Frame) -> list[Event]:
        if not (isinstance(frame, DataFrame) and len(frame.data) >= FRAME_BYTES_MIN):
            self.empty_frames += 1
            if self.empty_frames > EMPTY_FRAMES_MAX:
                raise DenialOfServiceError(f"more than {EMPTY_FRAMES_MAX} frames that bring next to nothing")
        return super()._receive_frame(frame)

    def _receive_settings_frame(self, frame: SettingsFrame) -> tuple[list[Frame], list[Event]]:
        told = {code: value for code, value in frame.settings.items() if code in _SETTINGS}
        if (table := SettingCodes.HEADER_TABLE_SIZE) in told:
            told[table] = min(told[table], HEADERS_TABLE_BYTES_MAX)
        frame.settings = told
        return super()._receive_settings_frame(frame)

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        farewell = ConnectionTerminated()
        farewell.error_code, farewell.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [farewell]
